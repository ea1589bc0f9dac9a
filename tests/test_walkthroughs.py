"""CONTRIBUTING's walk-throughs are followed literally in a copy of the project, and their tests pass."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tfkd.processes import FORKSERVER, start_server

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[1]
TEXT = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^(?P<margin> +)```python\n(?P<code>.*?)\n +```$", re.MULTILINE | re.DOTALL)
ORDERS = {
    "copy": re.compile(r"Copy `(?P<path>[^`]+)` to `(?P<new>[^`]+)`"),
    "create": re.compile(r"Create `(?P<path>[^`]+)`"),
    "import": re.compile(r"In `(?P<path>[^`]+)`, import"),
    "add": re.compile(r"In `(?P<path>[^`]+)`, add to `(?P<name>\w+)`"),
    "before": re.compile(r"In `(?P<path>[^`]+)`, put before `(?P<name>[^`]+)`"),
    "replace": re.compile(r"In `(?P<path>[^`]+)`, replace `(?P<old>[^`]+)` with `(?P<new>[^`]+)`"),
    "test": re.compile(r"Run `pytest (?P<tests>[^`]+)`"),
}


def sections() -> dict[str, str]:
    """Returns the text of each walk-through by its title."""
    found = re.split(r"^## Add (.+)$", TEXT.split("\n## Tests that")[0], flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def follow(section: str, project: Path) -> list[str]:
    """Follows a walk-through in a project, and returns the tests that it names.

    Raises:
        ValueError: a step is not in `ORDERS`, or what it names does not occur exactly once.
    """
    tests: list[str] = []
    for step in re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]:
        fence = FENCE.search(step)
        order = " ".join(step[: fence.start() if fence else len(step)].split())
        kind, found = next(((kind, m) for kind, each in ORDERS.items() if (m := each.match(order))), (None, None))
        if found is None:
            raise ValueError(f"cannot be followed literally: {order}")
        if kind == "test":
            tests += shlex.split(found["tests"])
            continue
        path = project / found["path"]
        code = re.sub(rf"^{fence['margin']}", "", fence["code"], flags=re.MULTILINE) if fence else ""
        if kind == "copy":
            shutil.copy(path, project / found["new"])
        elif kind == "create":
            assert not path.exists(), f"{path} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code + "\n", encoding="utf-8")
        else:
            path.write_text(_edited(path.read_text(encoding="utf-8"), kind, found, code), encoding="utf-8")
    return tests


def _edited(source: str, kind: str | None, found: re.Match[str], code: str) -> str:
    lines = source.splitlines()
    if kind == "replace":
        number = _only(lines, found["old"], lambda line: found["old"] in line)
        lines[number] = lines[number].replace(found["old"], found["new"])
        return "\n".join(lines) + "\n"
    if kind == "before":
        number = _only(lines, found["name"], lambda line: line.lstrip().startswith(found["name"]))
    elif kind == "add":
        number = _end_of(lines, found["name"])
    else:
        number = next((n for n, line in enumerate(lines) if line.startswith(("from ", "import "))), len(lines))
    before = lines[number - 1] if kind == "add" else lines[number] if number < len(lines) else ""
    margin = " " * (len(before) - len(before.lstrip()))
    lines[number:number] = [margin + line if line else "" for line in code.splitlines()]
    return "\n".join(lines) + "\n"


def _end_of(lines: list[str], name: str) -> int:
    """Returns where the last entry of a dictionary or list ends, which may be inside of a call."""
    number = _only(lines, name, lambda line: re.match(rf"{name}\b.*[\[({{]$", line) is not None) + 1
    while lines[number].strip() in ("(", "[", "{"):
        number += 1
    margin = len(lines[number]) - len(lines[number].lstrip())
    return next(n for n in range(number, len(lines)) if len(lines[n]) - len(lines[n].lstrip()) < margin)


def _only(lines: list[str], what: str, is_meant: Callable[[str], bool]) -> int:
    numbers = [number for number, line in enumerate(lines) if is_meant(line)]
    if len(numbers) != 1:
        raise ValueError(f"{what} was found {len(numbers)} times, not once")
    return numbers[0]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """Returns a copy of the project in which all walk-throughs were followed, and the tests of each."""
    project = tmp_path_factory.mktemp("project")
    for name in ("tfkd", "tests", "tools", "pipelines", "docs"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "evidence"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(PROJECT / name, project / name)
    return project, {title: follow(section, project) for title, section in sections().items()}


@pytest.mark.parametrize("title", sections())
def test_following_a_walk_through_adds_a_thing_that_works(title: str, followed, tmp_path: Path) -> None:
    project, tests = followed
    assert tests[title], f"the walk-through for {title} names no test"
    printed = tmp_path / "printed"
    start_server()
    process = FORKSERVER.Process(target=_test, args=(project, tests[title], printed))
    process.start()
    process.join(600)
    process.kill()
    assert process.exitcode == 0, printed.read_text(encoding="utf-8")[-6000:]


def _test(project: Path, tests: list[str], printed: Path) -> None:
    """Runs tests of another copy of the project in this process, which is forked with TensorFlow loaded."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "tfkd", "tools")]:
        del sys.modules[name]
    for descriptor in (1, 2):
        os.dup2(os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.chdir(project)
    sys.path.insert(0, str(project))
    code = pytest.main(["-q", "-p", "no:cacheprovider", *tests])
    import tfkd

    assert Path(tfkd.__file__).is_relative_to(project)
    sys.exit(code)


def test_every_thing_that_comes_in_kinds_has_a_walk_through() -> None:
    expected = {"loss", "student", "teacher family", "source", "kind of input", "format", "bench target"}
    assert {title.removeprefix("a ") for title in sections()} == expected


def test_a_step_that_cannot_be_followed_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""Doc."""\n\nfrom b import c\n\nKINDS = {\n    "one": 1,\n}\nOTHER = 3\n')
    section = """
1. In `a.py`, add to `KINDS`:

   ```python
   "two": 2,
   ```
2. In `a.py`, import it:

   ```python
   from d import e
   ```
3. In `a.py`, replace `OTHER = 3` with `OTHER = 4`.
4. Run `pytest tests/test_a.py -k two`.
"""
    assert follow(section, tmp_path) == ["tests/test_a.py", "-k", "two"]
    expected = (
        '"""Doc."""\n\nfrom d import e\nfrom b import c\n\nKINDS = {\n    "one": 1,\n    "two": 2,\n}\nOTHER = 4\n'
    )
    assert (tmp_path / "a.py").read_text() == expected
    for wrong in ("1. Think of a name.\n", "1. In `a.py`, replace `OTHER = 3` with `x`.\n"):
        with pytest.raises(ValueError, match=r"literally|0 times"):
            follow(wrong, tmp_path)
