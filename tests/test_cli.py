"""The command line: quick help, one line for a wrong request, documented exit codes."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.data.photos import fill
from tests.pipeline.test_run import RECIPE

KINDS = ("students", "teachers", "losses", "sources", "formats", "targets")
PROJECT = Path(__file__).parents[1]
READ_ONLY = "mount -t tmpfs -o ro tmpfs disk"
FULL = "mount -t tmpfs -o size=4k tmpfs disk && head -c 4096 /dev/zero > disk/all"
CAN_MOUNT = subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode == 0


def tfkd(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tfkd", *arguments]
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False, timeout=120)


def test_help_names_the_commands_and_loads_no_tensorflow(tmp_path: Path) -> None:
    shown = tfkd("--help", cwd=tmp_path)
    assert shown.returncode == 0
    commands = (
        "run",
        "plan",
        "clean",
        "doctor",
        "compare",
        "export",
        "report",
        "inspect",
        "diff",
        "drift",
        "bench",
        "schema",
        "list",
    )
    for command in commands:
        assert f" {command} " in shown.stdout
    script = "import sys, tfkd.cli; assert not {'tensorflow', 'keras', 'coremltools', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.skipif(not CAN_MOUNT, reason="needs unshare -Urm: namespaces without root")
@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        (READ_ONLY, ("doctor", "recipe.py", "--runs", "disk/runs"), "Cannot write"),
        (
            READ_ONLY,
            ("run", "recipe.py", "--out", "disk/models"),
            "disk is not writable. Choose another",
        ),
        (FULL, ("doctor", "recipe.py", "--runs", "disk/runs"), "No space left"),
    ],
    ids=["runs read-only", "bundles read-only", "runs full"],
)
def test_a_disk_that_cannot_be_written_is_one_line(
    tmp_path: Path, prepare: str, arguments: tuple[str, ...], message: str
) -> None:
    fill(tmp_path / "photos", {"a": 12, "b": 12})
    (tmp_path / "disk").mkdir()
    (tmp_path / "recipe.py").write_text(RECIPE)
    done = in_namespace(prepare, "-m", "tfkd", *arguments, cwd=tmp_path)
    assert done.returncode in (2, 4), done.stderr
    assert message in done.stderr and done.stderr.startswith("tfkd: ") and done.stderr.count("\n") == 1


@pytest.mark.skipif(not CAN_MOUNT, reason="needs unshare -Urm: namespaces without root")
def test_without_a_folder_for_temporary_files() -> None:
    read_only = "mount --bind $folder $folder && mount -o remount,bind,ro $folder"
    prepare = f"for folder in /tmp /var/tmp; do {read_only}; done; export TMPDIR=/proc"
    code = "import tempfile; from tfkd.exit_codes import guarded; exit(guarded(tempfile.TemporaryDirectory))"
    done = in_namespace(prepare, "-c", code, cwd=Path("/proc"))
    assert done.returncode == 4
    assert done.stderr == "tfkd: No folder for temporary files can be written. Set $TMPDIR to a writable folder.\n"


def in_namespace(prepare: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python after mounts that only it sees."""
    command = ["unshare", "-Urm", "bash", "-c", f'{prepare} && "$@"', "bash", sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, env=environment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "none.py"), "No recipe at none.py"),
        (("run", "recipe.py", "student.widht=1"), "Did you mean 'width'"),
        (("run", "recipe.py", "--until", "exprot"), "Did you mean 'export'"),
        (("run", "recipe.py", "data.source=embeded:fashion_mnist_mini"), "Did you mean 'embedded'"),
        (("run", "recipe.py", "data.source=folder:nowhere"), "nowhere"),
        (("run", "recipe.py", "--bogus"), "--bogus"),
        (("list", "student"), "Did you mean 'students'"),
        (("report", "runs/none"), "There is no folder runs/none. Name that of a run"),
        (("inspect", "none.tflite"), "none.tflite: cannot be read: No such file"),
        (("inspect", "recipe.py", "--out", "plot.svg"), "--data folder:PATH"),
        (("inspect", "recipe.py", "--data", "folder:photos"), "no recipe_fp32.tflite"),
        (("schema", "manifst"), "Did you mean 'manifest'"),
        (("bench", "none"), "none"),
        (("dance",), "dance"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "recipe.py").write_text(
        "from tfkd.recipe import *\n"
        'recipe = Recipe(name="r", data=Data(source="embedded:fashion_mnist_mini"), '
        'teachers=[Teacher(model="efficientnet_lite0")])\n'
    )
    answer = tfkd(*arguments, cwd=tmp_path)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert answer.stderr.startswith("tfkd: ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize("what", ["recipe", "manifest", "bench", "evidence", "diff"])
def test_published_schemas(tmp_path: Path, what: str) -> None:
    answer = tfkd("schema", what, cwd=tmp_path)
    assert answer.returncode == 0 and answer.stderr == ""
    schema = json.loads(answer.stdout)
    assert schema["$schema"].endswith("2020-12/schema") and schema["additionalProperties"] is False
    assert ("distill" in schema["properties"]) is (what == "recipe")


QUICK = [("--help",), (), ("--version",), *(("list", kind) for kind in KINDS)]
SLOW_TO_IMPORT = {"tensorflow", "keras", "scipy", "sklearn", "coremltools", "onnx", "jinja2", "tensorflow_datasets"}
MOST_MODULES = 600  # `tfkd list students` imports 530


@pytest.mark.parametrize("arguments", QUICK, ids=str)
def test_help_and_lists_are_quiet(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    answer = tfkd(*arguments, cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "") and answer.stdout


@pytest.mark.parametrize("arguments", QUICK, ids=str)
def test_help_and_lists_import_little(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Imports are nearly all of their time; the time itself would depend on the machine."""
    command = [sys.executable, "-X", "importtime", "-m", "tfkd", *arguments]
    shown = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=True, timeout=120).stderr
    imported = [line.rpartition("|")[2].strip() for line in shown.splitlines()]
    assert "tfkd.commands" in imported and len(imported) < MOST_MODULES
    assert not {name.partition(".")[0] for name in imported} & SLOW_TO_IMPORT


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    assert tfkd("--version", cwd=tmp_path).stdout == f"tfkd {version('tfkd')}\n"
    assert tfkd(cwd=tmp_path).stdout == tfkd("--help", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("shell", "words", "expected"),
    [
        ("bash", {"COMP_WORDS": "tfkd re", "COMP_CWORD": "1"}, ["report"]),
        ("bash", {"COMP_WORDS": "tfkd list t", "COMP_CWORD": "2"}, ["teachers", "targets"]),
        (
            "bash",
            {"COMP_WORDS": "tfkd schema ", "COMP_CWORD": "2"},
            ["recipe", "manifest", "bench", "evidence", "diff", "counts", "monitor", "drift"],
        ),
        ("bash", {"COMP_WORDS": "tfkd bench x --target a", "COMP_CWORD": "4"}, ["android", "arm64"]),
        ("bash", {"COMP_WORDS": "tfkd run x --until so", "COMP_CWORD": "4"}, ["soft_labels"]),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "tfkd verify --da"}, ["--data"]),
        ("fish", {"_TYPER_COMPLETE_ARGS": "tfkd ex", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}, ["export"]),
    ],
)
def test_a_shell_gets_completions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, words: dict[str, str], expected: list[str]
) -> None:
    for name, value in {**words, "_TFKD_COMPLETE": f"complete_{shell}"}.items():
        monkeypatch.setenv(name, value)
    answer = tfkd(cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert all(word in answer.stdout for word in expected) and "plan" not in answer.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shown_and_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # the shell is then named
    shown = tfkd("--show-completion", shell, cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "") and f"_TFKD_COMPLETE=complete_{shell}" in shown.stdout
    installed = tfkd("--install-completion", shell, cwd=tmp_path)
    assert (installed.returncode, installed.stderr) == (0, "") and f"{shell} completion installed" in installed.stdout
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(f"_TFKD_COMPLETE=complete_{shell}" in text for text in written)
