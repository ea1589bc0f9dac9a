"""No command lets a library write to the user's standard error.

One command runs in a new Python, because libraries also write when they are imported. The others are forked with
TensorFlow loaded.
"""

import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import running
from tests.data.photos import fill_tinted
from tests.pipeline.test_run import CLASSES, RECIPE
from tfkd import quiet

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[1]
BUNDLE = "exported_models/tiny"
FILE = f"{BUNDLE}/android/tiny_int8.tflite"
QUICK = ("--runs=5", "--processes=1", "--warmup=1", "--threads=1")
EXPORT = ("--labels", "labels.txt", "--data", "folder:photos", "--coreml=mlmodel", "--tflite=fp32", "--onnx")


def in_a_new_python(home: Path, *arguments: str) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run([sys.executable, *arguments], cwd=home, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, and its student as a model of the user."""
    home = tmp_path_factory.mktemp("home")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 20))
    (home / "recipe.py").write_text(
        RECIPE.replace("export=Export(", "export=Export(tflite=['fp32', 'int8'], coreml=['mlpackage'], ")
    )
    (home / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    code, output, errors = in_a_new_python(home, "-m", "tfkd", "run", "recipe.py")
    assert (code, errors) == (0, ""), output
    assert "WARNING" not in output and "Warning:" not in output
    (student,) = home.glob("runs/tiny/student/*/seed-1/student.keras")
    os.link(student, home / "own.keras")
    return home


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "recipe.py", "teachers.model=resnet20"),
        ("doctor", "recipe.py"),
        ("sweep", "recipe.py", "distill.training.epochs=4"),  # the student of the run
        ("compare", "recipe.py"),
        ("clean", "recipe.py"),
        ("report", BUNDLE),
        ("verify", BUNDLE, "--data", "folder:photos"),
        ("bench", BUNDLE, *QUICK),
        ("inspect", FILE, "--data", "folder:photos"),
        ("export", "own.keras", *EXPORT, "--allow-code"),  # in the command's own process
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_no_command_lets_a_library_write(home: Path, arguments: tuple[str, ...]) -> None:
    code, output, errors = running.run(home, *arguments)
    assert (code, errors) == (0, ""), output
    assert "WARNING" not in output and "Warning:" not in output


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
    code, _, errors = running.run(home, *arguments)
    assert code == 2
    assert errors.startswith("tfkd: ") and errors.count("\n") == 1


CALLS = f"""
import tfkd
bundle = tfkd.load_bundle({BUNDLE!r})
bundle.predict(bundle.golden.images, "tiny_int8.tflite")
tfkd.bench({BUNDLE!r}, runs=5, processes=1, warmup=1, threads=[1])
assert tfkd.verify({BUNDLE!r}).passed
tfkd.export("own.keras", labels="labels.txt", data="photos", allow_code=True, coreml=[], tflite=["fp32"])
assert tfkd.run("recipe.py").student
next(tfkd.SoftLabelBatches(tfkd.load_recipe("recipe.py")).epoch(0))
"""


def test_no_public_function_lets_a_library_write(home: Path) -> None:
    assert in_a_new_python(home, "-c", CALLS) == (0, "", "")


@pytest.mark.parametrize(
    "call",
    [
        "from tfkd.interface.results import Students\nStudents(recipe, pathlib.Path('runs/tiny'))[1]",
        "next(tfkd.SoftLabelBatches(recipe).epoch(0))",
    ],
    ids=["student", "batches"],
)
def test_tensorflow_is_loaded_in_silence_wherever_it_is_loaded_first(home: Path, tmp_path: Path, call: str) -> None:
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'a message of the import')\nos._exit(77)")
    script = f"import pathlib, sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport tfkd\n"
    assert in_a_new_python(home, "-c", f"{script}recipe = tfkd.load_recipe('recipe.py')\n{call}") == (77, "", "")


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
