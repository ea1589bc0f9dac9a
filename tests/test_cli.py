"""The command line: quick help, one line for a wrong request, documented exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tfkd.cli import guarded
from tfkd.errors import RequestError, TfkdError

PROJECT = Path(__file__).parents[1]


def tfkd(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tfkd.cli", *arguments]
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False, timeout=120)


def test_help_names_the_commands_and_loads_no_tensorflow(tmp_path: Path) -> None:
    shown = tfkd("--help", cwd=tmp_path)
    assert shown.returncode == 0
    for command in ("run", "plan", "doctor", "compare", "export", "report", "inspect", "bench", "schema", "list"):
        assert f" {command} " in shown.stdout
    script = "import sys, tfkd.cli; assert not {'tensorflow', 'keras', 'coremltools', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "none.py"), "No recipe at none.py"),
        (("run", "recipe.py", "student.widht=1"), "Did you mean 'width'"),
        (("run", "recipe.py", "--until", "exprot"), "Did you mean 'export'"),
        (("run", "recipe.py", "data.source=embeded:fashion_mnist_mini"), "Did you mean 'embedded'"),
        (("run", "recipe.py", "data.source=folder:nowhere"), "nowhere"),
        (("run", "recipe.py", "--bogus"), "--bogus"),
        (("list", "student"), "Did you mean 'students'"),
        (("report", "runs/none"), "not the folder of a finished run"),
        (("inspect", "none.tflite"), "none.tflite: cannot be read: No such file"),
        (("inspect", "recipe.py", "--out", "plot.svg"), "--data folder:PATH"),
        (("inspect", "recipe.py", "--data", "folder:photos"), "no recipe_fp32.tflite"),
        (("schema", "manifst"), "Did you mean 'manifest'"),
        (("bench", "none"), "none"),
        (("dance",), "dance"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    (tmp_path / "recipe.py").write_text(
        "from tfkd.recipe import *\n"
        'recipe = Recipe(name="r", data=Data(source="embedded:fashion_mnist_mini"), '
        'teachers=[Teacher(model="efficientnet_lite0")])\n'
    )
    answer = tfkd(*arguments, cwd=tmp_path)
    assert answer.returncode == 2
    assert told in answer.stderr
    assert answer.stderr.startswith("tfkd: ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["students", "teachers", "losses", "sources", "formats", "targets"])
def test_list_names_what_a_recipe_may_use(tmp_path: Path, kind: str) -> None:
    expected = {
        "students": "mobilenet_v3_small",
        "teachers": "efficientnet_lite2",
        "losses": "soft_targets",
        "sources": "folder",
        "formats": "mlpackage",
        "targets": "host",
    }
    answer = tfkd("list", kind, cwd=tmp_path)
    assert answer.returncode == 0
    assert expected[kind] in answer.stdout.split()


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: BaseException) -> None:
        raise error

    assert guarded(lambda: None) == 0
    assert guarded(lambda: fail(RequestError("wrong"))) == 2
    assert guarded(lambda: fail(TfkdError("broken"))) == 3
    assert guarded(lambda: fail(ZeroDivisionError())) == 3
    assert guarded(lambda: fail(KeyboardInterrupt())) == 130
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["manifest", "bench"])
def test_published_schemas(tmp_path: Path, what: str) -> None:
    answer = tfkd("schema", what, cwd=tmp_path)
    assert answer.returncode == 0
    assert json.loads(answer.stdout)["$defs"]
