"""Files of a wheel in addition to the code: types for type checkers, templates, and the embedded data."""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "tfkd"


def shipped() -> set[Path]:
    """Returns the files that pyproject.toml adds to the modules."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = settings["package-data"]["tfkd"]
    found = {pattern: {path for path in PACKAGE.glob(pattern) if path.is_file()} for pattern in patterns}
    assert all(found.values()), "a pattern matches nothing"
    return set().union(*found.values())


def test_type_checkers_read_the_annotations() -> None:
    assert PACKAGE / "py.typed" in shipped()


def test_every_file_of_the_package_is_shipped() -> None:
    others = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others - shipped() == set()


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").is_file()} == set()
