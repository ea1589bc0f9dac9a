"""Wrong requests of `tfkd fit`: exit code 2 and one line, before anything is opened or measured."""

import json
from pathlib import Path

import pytest

from tfkd import cli

RECIPE = {"name": "r", "data": {"source": "folder:nowhere"}, "teachers": [{"model": "resnet20", "weights": "none"}]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "There is no limit. Set fit.max_ms, fit.max_kb, fit.max_mb or fit.max_instructions, e.g. with --max-ms 2.",
        ),
        (["--max-ms", "0"], "fit.max_ms = 0.0: Input should be greater than 0."),
        (["--max-kb", "-1"], "fit.max_kb = -1.0: Input should be greater than 0."),
        (["--max-mb", "nan"], "fit.max_mb = nan: Input should be a finite number."),
        (["--max-instructions", "inf", "--target", "arm64"], "fit.max_instructions = inf: Input should be a finite"),
        (["--max-ms", "2", "--hours", "0"], "fit.hours = 0.0: Input should be greater than 0."),
        (["--max-ms", "2", "--target", "arm64"], "fit.max_ms is for host, ssh and android; the target arm64 does not"),
        (["--max-instructions", "3e6"], "fit.max_instructions is for arm64; the target host does not measure that."),
        (["--max-ms", "2", "--target", "phone"], "There is no target 'phone'."),
        (["--max-ms", "2", "--target", "ios"], "The target ios runs no .tflite file; name another one."),
        (["--max-ms", "2", "--min-relative-accuracy", "95"], "fit.min_relative_accuracy = 95.0: Input should be less"),
        (["--max-ms", "2", "--python", "python9"], "--python is for ssh; the target host does not read it."),
        (["--max-ms", "2", "fit.families=mobilenet_v9"], "fit.families: there is no student 'mobilenet_v9'."),
        (
            ["--max-ms", "2", "--target", "host:desk", "--plan"],
            "The target host is this machine; it has no address 'desk'",
        ),
        (["--max-ms", "2", "--target", "ssh://a b", "--plan"], "is no board. Write ssh://user@board or"),
        (["--max-ms", "2", "fit.width=0.5"], "there is no field 'fit.width'."),
        (["--max-ms", "2", "distill.generations=2"], "distill.generations = 2: each candidate would need its own"),
    ],
)
def test_a_wrong_request(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    assert cli.execute(["fit", str(tmp_path / "recipe.json"), *arguments, "--runs", str(tmp_path / "runs")]) == 2
    errors = capsys.readouterr().err
    assert message in errors and errors.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_device_out_of_reach_ends_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    arguments = ["--max-ms", "2", "--target", "ssh://127.0.0.1:1", "--plan", "--runs", str(tmp_path / "runs")]
    assert cli.execute(["fit", str(tmp_path / "recipe.json"), *arguments]) == 4
    assert "ssh://127.0.0.1:1" in capsys.readouterr().err and not (tmp_path / "runs").exists()
