"""The examples of README.md, CONTRIBUTING.md and docs/, as they stand: Python is run, commands are parsed.

A block that a test cannot run has a comment before it, `<!-- not run: why -->`; such blocks are reported as skipped.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.data.photos import fill_tinted
from tests.pipeline.test_run import CLASSES, RECIPE
from tfkd.commands import app
from tfkd.pipeline import own_request, sweep
from tfkd.recipe.files import load

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
OPTIONS = re.compile(r"(?<=\s)--[a-z][a-z-]*")
SIZE = 32


@dataclass(frozen=True)
class Example:
    """One block of Python, or one line of a command; `place` names page and line."""

    place: str
    text: str
    reason: str | None = None


def python_blocks() -> Iterator[Example]:
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        for start, line in enumerate(lines):
            if line == "```python":
                end = lines.index("```", start)
                reason = NOT_RUN.fullmatch(lines[start - 1])
                text = "\n".join(lines[start + 1 : end])
                yield Example(f"{page.name}:{start + 1}", text, reason and reason[1])


def console_lines() -> Iterator[Example]:
    """Yields the commands of indented blocks, without the description behind two spaces or a number sign."""
    for page in PAGES:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            if re.match(r"    (\.venv/bin/)?(tfkd|make|python) ", line):
                yield Example(f"{page.name}:{number}", re.split(r"\s{2,}|\s+#", line.strip())[0])


def inline_commands() -> Iterator[Example]:
    for page in PAGES:
        for found in re.finditer(r"`tfkd ([a-z]+[^`]*)`", page.read_text(encoding="utf-8").replace("\n", " ")):
            yield Example(f"{page.name}: {found[1]}", found[1])


def ids(examples: list[Example]) -> dict[str, Any]:
    return {"argvalues": examples, "ids": [example.place for example in examples]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The current folder of all examples, so that they share what a run has finished."""
    home = tmp_path_factory.mktemp("home")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 40))
    (home / "shoes.py").write_text(RECIPE.replace('"tiny"', '"shoes"'))
    (home / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return home


@pytest.fixture
def names(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the examples expect of their reader: models, images, and a model file in the current folder."""
    import keras
    import numpy as np
    import tensorflow as tf
    import tf_keras

    from tests import tiny
    from tfkd import TeacherPredictions

    monkeypatch.chdir(home)

    def build_student(k: Any = keras) -> Any:
        settings = {"width": 1.0, "activation": "relu", "dropout": 0.0, "batch_norm_momentum": 0.9}
        return tiny.build_student(k, image_size=SIZE, classes=len(CLASSES), **settings)

    build_student(tf_keras).save("keras2.h5")
    rng = np.random.default_rng(0)
    labels = np.arange(24) % len(CLASSES)
    images = rng.integers(0, 256, (24, SIZE, SIZE, 3)).astype(np.float32)
    shapes = {"logits": (len(CLASSES),), "pooled": (8,)}
    stored = {name: rng.normal(size=(24, *shape)).astype(np.float32) for name, shape in shapes.items()}
    predictions = TeacherPredictions(images, (stored,), np.arange(24))
    return {
        "teacher": tiny.build_teacher(image_size=SIZE, classes=len(CLASSES)),
        "student": build_student(),
        "build_student": build_student,
        "images": images,
        "labels": labels,
        "test_images": images[:6],
        "test_labels": labels[:6],
        "class_names": list(CLASSES),
        "shapes": shapes,
        "batches": tf.data.Dataset.from_tensor_slices((predictions, labels)).batch(8),
        "train_step": lambda images, labels, teacher_logits: None,
    }


@pytest.mark.slow
@pytest.mark.parametrize("example", **ids(list(python_blocks())))
def test_python_examples_run_unchanged(example: Example, names: dict[str, Any]) -> None:
    if example.reason:
        pytest.skip(f"not run: {example.reason}")
    exec(compile(example.text, example.place, "exec"), names)  # noqa: S102  (the project's own pages)


@pytest.mark.parametrize("example", **ids(list(console_lines())))
def test_a_command_is_one_that_exists(example: Example) -> None:
    program, *arguments = shlex.split(example.text)
    if program == "make":
        assert f"\n{arguments[0]}:" in (PROJECT / "Makefile").read_text()
    elif program == "python":
        place = arguments[1].replace(".", "/") if arguments[0] == "-m" else arguments[0]
        assert (PROJECT / place).exists()
    elif arguments[0].startswith("--"):
        assert arguments[0] in {option for parameter in command_line().params for option in parameter.opts}
    else:
        parsed(arguments)


def parsed(arguments: list[str]) -> None:
    """Parses a command as the command line does, with its overrides, and runs nothing."""
    context, command, rest = resolved(arguments)
    values = command.make_context(arguments[0], list(rest), parent=context).params
    recipe = load(PROJECT / "pipelines" / "quickstart.py")
    if command.name == "export":
        fields = {"name": "shoes", "model": "m", "labels": "l", "data": values["data"]}
        own_request.request(fields, {}, values["overrides"] or [])
    elif command.name == "sweep":
        for overrides in sweep.variations(values["settings"]).values():
            recipe.with_(*overrides)
    else:
        recipe.with_(*values.get("overrides") or [])


def command_line() -> Any:
    """Returns the whole command line, with the options that take no command."""
    from typer.main import get_command

    return get_command(app)


def resolved(arguments: list[str]) -> tuple[Any, Any, list[str]]:
    """Returns the context of the command line, the command that is named, and its arguments."""
    group = command_line()
    context = group.make_context("tfkd", [], resilient_parsing=True)
    _, command, rest = group.resolve_command(context, arguments)
    return context, command, rest


@pytest.mark.parametrize("example", **ids(list(inline_commands())))
def test_a_command_in_a_sentence_has_its_options(example: Example) -> None:
    arguments = example.text.split()
    _, command, _ = resolved(arguments)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert set(OPTIONS.findall(example.text)) <= known


def test_every_kind_of_example_is_found() -> None:
    blocks, lines = list(python_blocks()), list(console_lines())
    assert len(blocks) >= 6 and len(lines) >= 30
    assert sum(block.reason is not None for block in blocks) <= 1
