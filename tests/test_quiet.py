"""No command lets a library write to the user's standard error."""

import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.photos import fill_tinted
from tests.pipeline.test_run import CLASSES, RECIPE
from tfkd import quiet

PROJECT = Path(__file__).parents[1]
BUNDLE = "exported_models/tiny"
FILE = f"{BUNDLE}/android/tiny_int8.tflite"
QUICK = ("--runs=5", "--processes=1", "--warmup=1", "--threads=1")
EXPORT = ("--labels", "labels.txt", "--data", "folder:photos", "--coreml=mlpackage", "--tflite=fp32", "--onnx")


def tfkd(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    command = [sys.executable, "-m", "tfkd", *arguments]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, and its student as a model of the user."""
    home = tmp_path_factory.mktemp("home")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 40))
    (home / "recipe.py").write_text(RECIPE)
    (home / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    done = tfkd(home, "run", "recipe.py")
    assert (done.returncode, done.stderr) == (0, "")
    (student,) = home.glob("runs/tiny/student/*/seed-1/student.keras")
    os.link(student, home / "own.keras")
    return home


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "recipe.py"),
        ("plan", "recipe.py", "teachers.model=resnet20"),
        ("doctor", "recipe.py"),
        ("sweep", "recipe.py", "distill.training.epochs=1"),
        ("compare", "recipe.py"),
        ("clean", "recipe.py"),
        ("report", "runs/tiny"),
        ("report", BUNDLE),
        ("verify", BUNDLE, "--data", "folder:photos"),
        ("bench", BUNDLE, *QUICK),
        ("inspect", FILE, "--data", "folder:photos"),
        ("export", "own.keras", *EXPORT, "--allow-code"),  # in the command's own process
        ("schema", "recipe"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_no_command_lets_a_library_write(home: Path, arguments: tuple[str, ...]) -> None:
    done = tfkd(home, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "WARNING" not in done.stdout and "Warning:" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "recipe.py", "teachers.model=labels.txt"),
        ("verify", "photos"),
        ("export", "recipe.py", *EXPORT),
        ("inspect", "labels.txt"),
        ("bench", "own.keras"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_failing_command_writes_only_its_own_line(home: Path, arguments: tuple[str, ...]) -> None:
    done = tfkd(home, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("tfkd: ") and done.stderr.count("\n") == 1


CALLS = {
    "verify": f"assert tfkd.verify({BUNDLE!r}, data='folder:photos').passed",
    "bench": f"tfkd.bench({BUNDLE!r}, runs=5, processes=1, warmup=1, threads=[1])",
    "export": "tfkd.export('own.keras', labels='labels.txt', data='photos', allow_code=True, coreml=['mlmodel'])",
    "predict": f"bundle = tfkd.load_bundle({BUNDLE!r}); bundle.predict(bundle.golden.images, 'tiny_int8.tflite')",
    "batches": "next(tfkd.SoftLabelBatches(tfkd.load_recipe('recipe.py')).epoch(0))",
    "run": "tfkd.run('recipe.py').student.summary",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_no_public_function_lets_a_library_write(home: Path, name: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    command = [sys.executable, "-c", f"import tfkd\n{CALLS[name]}"]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_advice_on_retracing_is_suppressed_inside_calls_only(caplog: pytest.LogCaptureFixture) -> None:
    advice = "5 out of the last 5 calls to <function run> triggered tf.function retracing. Tracing is expensive"
    log = logging.getLogger("tensorflow")
    for block, seen in ((quiet.tensorflow_silenced(), 0), (contextlib.nullcontext(), 1)):
        caplog.clear()
        with block, caplog.at_level(logging.WARNING, "tensorflow"):
            log.propagate, before = True, log.propagate
            log.warning(advice)
            log.warning("another warning")
            log.propagate = before
        assert [record.message for record in caplog.records] == [*[advice][:seen], "another warning"]
