"""The sources behind `package.module:function`, found without running them."""

import sys
import textwrap
from pathlib import Path

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import user_code


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user on the import path; its modules are removed from the cache afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write(home: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def files(module: str) -> set[str]:
    return {source.file for source in user_code.sources_of(module).values()}


def test_imports_are_followed_through_the_users_own_folders_only(home: Path) -> None:
    write(
        home,
        {
            "net_a.py": """
                import json
                import keras
                import tfkd.recipe.data
                from net_package import blocks
                def build():
                    import net_late
            """,
            "net_package/__init__.py": "",
            "net_package/blocks.py": "from .deep.layers import conv\nfrom . import sizes",
            "net_package/sizes.py": "",
            "net_package/unused.py": "",
            "net_package/deep/layers.py": "from ..sizes import *\nimport net_a",
            "net_late.py": "import importlib\nimportlib.import_module('net_dynamic')",
            "net_dynamic.py": "",
        },
    )
    assert files("net_a") == {
        "net_a.py",
        "net_late.py",
        "net_dynamic.py",
        "net_package/__init__.py",
        "net_package/blocks.py",
        "net_package/sizes.py",
        "net_package/deep/layers.py",
    }


def test_nothing_is_run_to_find_them(home: Path) -> None:
    write(home, {"boom/__init__.py": "raise SystemExit('run')", "boom/net.py": "raise SystemExit('run')"})
    assert files("boom.net") == {"boom/__init__.py", "boom/net.py"}


def test_a_digest_is_of_the_bytes(home: Path) -> None:
    write(home, {"net_b.py": "WIDTH = 8"})
    before = user_code.sources_of("net_b")["net_b"].digest
    write(home, {"net_b.py": "WIDTH = 9"})
    assert user_code.sources_of("net_b")["net_b"].digest != before


@pytest.mark.parametrize("name", ["", ".", "a..b", "net_c.missing", "no such module", "sys", "net_c.x.y"])
def test_names_that_do_not_exist_have_no_sources(home: Path, name: str) -> None:
    write(home, {"net_c.py": "def broken(:"})
    assert files(name) <= {"net_c.py"}


def test_an_installed_module_is_represented_by_its_own_source() -> None:
    assert files("keras.layers") == {"keras/layers/__init__.py"}


def test_a_module_is_imported_again_when_what_it_imports_changed(home: Path) -> None:
    write(home, {"net_d.py": "from net_e import WIDTH", "net_e.py": "WIDTH = 8"})
    first = user_code.imported("net_d")
    assert user_code.imported("net_d") is first
    write(home, {"net_e.py": "WIDTH = 8 * 2"})
    assert user_code.imported("net_d").WIDTH == 16


@pytest.fixture
def behind(home: Path) -> Path:
    """A folder of the user after the installed packages, as for the command line."""
    sys.path.append(sys.path.pop(sys.path.index(str(home))))
    return home


@pytest.mark.parametrize("name", ["h5py", "json", "sys", "h5py/__init__"])
def test_a_module_that_an_installed_one_hides_is_refused_where_it_is_imported(behind: Path, name: str) -> None:
    module = name.split("/")[0]
    write(behind, {f"{name}.py": "raise SystemExit", "net_hidden.py": f"from {module} import core"})
    message = (
        rf"{module}(/__init__)?\.py has the name of (an installed package|a module of the standard library), {module},"
    )
    for look in (
        lambda: user_code.check_imports(f"import {module}.core".encode()),
        lambda: user_code.check_imports(b"import net_hidden"),
        lambda: user_code.imported("net_hidden"),
        lambda: user_code.imported(f"{module}.core"),
    ):
        with pytest.raises(RequestError, match=message):
            look()
    user_code.check_imports(b"import keras, net_other")


def test_a_folder_of_files_hides_nothing(behind: Path) -> None:
    write(behind, {"h5py/photo.txt": "", "keras/notes.py": ""})
    user_code.check_imports(b"import h5py, keras")
