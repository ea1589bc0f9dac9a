"""Modules in the current folder are never imported in place of installed ones."""

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.test_run import RECIPE
from tests.traps import set_traps
from tfkd import import_path

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[1]
TRAPS = ("numpy", "typing", "json", "pickle", "signal", "struct", "keras", "tensorflow", "typer", "rich", "h5py")


@pytest.fixture
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an import path and an environment that are restored afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setenv("PYTHONPATH", "")
    return tmp_path


def test_the_current_folder_is_removed_from_the_start_of_the_path_under_any_name(current: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(tmp_path)
    other.mkdir()
    kept = sys.path[:]
    sys.path[:0] = ["", str(other), ".", str(tmp_path), str(link)]
    os.environ["PYTHONPATH"] = f":{other}:.:{tmp_path}:{link}"
    import_path.without_current_folder()
    assert sys.path == [str(other), *kept]
    assert (os.environ["PYTHONPATH"], os.environ["PYTHONSAFEPATH"]) == (str(other), "1")
    import_path.append(".")
    import_path.append(tmp_path)
    assert sys.path == [str(other), *kept, str(tmp_path)]


def test_a_checkout_goes_to_the_end(monkeypatch: pytest.MonkeyPatch, current: Path) -> None:
    monkeypatch.chdir(PROJECT)
    sys.path[:] = ["", str(PROJECT), *(entry for entry in sys.path if entry != str(PROJECT))]
    import_path.without_current_folder()
    assert "" not in sys.path and sys.path.index(str(PROJECT)) == len(sys.path) - 1


def test_an_installed_package_without_init_is_not_replaced_for_installed_code(current: Path) -> None:
    installed = current / "site-packages"
    (installed / "tfkd_probe").mkdir(parents=True)
    (installed / "tfkd_probe" / "inner.py").touch()
    (installed / "tfkd_asks.py").write_text("import tfkd_probe.inner\nimport tfkd_own\n")
    for name in ("tfkd_probe.py", "tfkd_own.py"):
        (current / name).touch()
    sys.path.append(str(installed))
    import_path.append(".")
    asks = importlib.import_module("tfkd_asks")
    assert asks.tfkd_probe.inner.__file__ == str(installed / "tfkd_probe" / "inner.py")
    assert asks.tfkd_own.__file__ == str(current / "tfkd_own.py")
    for name in ("tfkd_probe", "tfkd_probe.inner", "tfkd_own", "tfkd_asks"):
        del sys.modules[name]
    own = importlib.util.find_spec("tfkd_probe")
    assert own is not None and own.origin == str(current / "tfkd_probe.py")


def test_a_deleted_current_folder_is_left_out(current: Path) -> None:
    kept = sys.path[:]
    current.rmdir()
    import_path.without_current_folder()
    import_path.append(".")
    assert sys.path == kept


@pytest.mark.parametrize(
    "arguments",
    [("verify", "."), ("bench", "."), ("inspect", "x"), ("report", "."), ("list", "students"), ("doctor", "recipe.py"),
     ("export", "x", "--labels", "y", "--data", "folder:z")],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_no_command_imports_a_file_of_the_current_folder(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    mark = set_traps(tmp_path, *TRAPS)
    (tmp_path / "recipe.py").write_text(RECIPE)
    command = [sys.executable, "-m", "tfkd", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert not mark.exists()
    assert done.returncode == (0 if arguments[0] == "list" else 2), done.stderr
    assert "Traceback" not in done.stderr


def test_a_recipe_imports_from_its_folder_and_the_current_one(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "sizes.py").write_text("SIZE = 'many'")
    (tmp_path / "recipes" / "sources.py").write_text("SOURCE = 'folder:none'")
    (tmp_path / "recipes" / "a.py").write_text(
        "from sizes import SIZE\nfrom sources import SOURCE\nfrom tfkd.recipe import *\n"
        "recipe = Recipe(name='a', data=Data(source=SOURCE, image_size=SIZE), teachers=[])"
    )
    command = [sys.executable, "-m", "tfkd", "plan", "recipes/a.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "image_size = 'many'" in done.stderr and done.returncode == 2
