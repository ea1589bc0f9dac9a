"""`tfkd plan` on other machines: what it prints, and one line for wrong options."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.scale.rates import rate, rates
from tfkd import cli
from tfkd.pipeline.scale import reference
from tfkd.pipeline.scale.cluster import MachineGroup
from tfkd.pipeline.scale.model import planned
from tfkd.pipeline.scale.rates import read_rates
from tfkd.pipeline.scale.workload import TeacherWork


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Rates of the networks of the reference work."""
    (teacher,) = rates().teachers
    networks = {
        "teachers": [teacher.model_copy(update={"name": "efficientnet_b0"})],
        "student": "mobilenet_v3_small",
        "viewing": rate(250),
    }
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({"rates": rates(**networks).model_dump(mode="json", by_alias=True)}))
    return path


def test_a_plan_as_a_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--machines", "32", "--gpus", "8", "--cores", "96", "--images", "100e6", "--price", "30"]
    assert cli.execute(["plan", *options, "--rates", str(file)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "reference: 100,000,000 examples on 32 machines with 8 GPUs and 96 cores each",
        "computed from these rates; nothing of it was run",
        "efficientnet_b0 teaching mobilenet_v3_small on 224 x 224 x 3, 1,000 classes",
        "10.0 Gbit/s │ assumed",
        "5.0 % │ assumed",
        "students: 2 trainings, one per machine, so more than 2 machines do not help there.",
        "if all are paid from start to end.",
        "Instead of ",
        "Twice the machines would save less than 1 % of the time.",
        "Not counted: export, verification",
        "│ store │ 32 │",
        "400 GB",
    ):
        assert text in shown, text


def test_a_plan_as_json_is_that_of_the_model_and_a_file_of_rates(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["plan", "--machines", "2", "--link", "40", "--spread", "0.1", "--rates", str(file), "--json"]
    assert cli.execute(options) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert found["schema"] == "tfkd-scale-1" and found["command"].startswith("tfkd") and found["machine"]["cores"]
    assert found["workload"]["examples"] == reference.EXAMPLES and found["assumed"] == [] and found["price"] is None
    work = reference.reference_workload(reference.reference_recipe(tmp_path))
    assert work.teachers == (TeacherWork("efficientnet_b0", 1, 4),)
    plan = planned(work, read_rates(file), MachineGroup(2, 1, 4, link=5e9, spread=0.1))
    assert found["seconds"] == pytest.approx(plan.seconds)
    assert [stage["name"] for stage in found["stages"]] == [stage.name for stage in plan.stages]
    (tmp_path / "plan.json").write_text(text)
    again = [*options[:-3], "--rates", str(tmp_path / "plan.json"), "--json"]
    assert cli.execute(again) == 0
    assert json.loads(capsys.readouterr().out)["stages"] == found["stages"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--machines", "0"], "Invalid value for '--machines': Input should be greater than or equal to 1."),
        (["--machines", "x"], "Invalid value for '--machines': Input should be a valid integer"),
        (["--gpus", "1.5"], "Invalid value for '--gpus': Input should be a valid integer"),
        (["--gpus", "-1"], "Invalid value for '--gpus': Input should be greater than or equal to 0."),
        (["--cores", "0"], "Invalid value for '--cores'"),
        (["--images", "100e6x"], "--images '100e6x' must be a whole number from 1 to 1e12, such as 250000 or 100e6."),
        (["--images", "1.5"], "--images '1.5' must be a whole number"),
        (["--images", "0"], "--images '0' must be a whole number"),
        (["--images", "-3"], "--images '-3' must be a whole number"),
        (["--images", "nan"], "--images 'nan' must be a whole number"),
        (["--images", "1e99999"], "--images '1e99999' must be a whole number"),
        (["--images", ""], "--images '' must be a whole number"),
        (["--machines", "2", "--price", "-1"], "--price -1 must be a number from 0 to"),
        (["--machines", "2", "--price", "nan"], "--price nan must be a number from 0 to"),
        (["--machines", "2", "--link", "0"], "--link 0 must be a number from 0.001 to"),
        (["--machines", "2", "--spread", "0.6"], "--spread 0.6 must be a number from 0 to 0.5."),
        (["--rates", "gone.json"], "gone.json cannot be read: No such file or directory."),
        (["gone.py", "--machines", "2"], "No recipe at gone.py"),
        (["--json"], "--json prints a plan on other machines; add --machines, --images or --rates."),
        ([], "Missing argument 'RECIPE'. Try 'tfkd plan --help'."),
    ],
)
def test_a_wrong_request(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["plan", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert not list(tmp_path.iterdir())


def test_a_plan_from_a_file_of_rates_loads_no_tensorflow(file: Path) -> None:
    script = (
        "import sys; from tfkd import cli; "
        f"cli.execute(['plan', '--images', '1e6', '--rates', {str(file)!r}]); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=file.parent)
