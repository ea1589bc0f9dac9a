"""What looked at the test split: which recipes of a run's folder have test figures.

A test split is fresh for the first recipe that it measures. Whoever chooses among recipes by their test figures has
tuned on it, so that each use is noted in one file of the folder as soon as its figures exist. Lines are added and never
removed, and a damaged one is ignored.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tfkd.bundle.manifest import UseOfTest, UserOfTest
from tfkd.data import Dataset
from tfkd.files import cannot_write, fingerprint
from tfkd.pipeline.folders import RunFolder
from tfkd.recipe import Recipe
from tfkd.recipe.names import kind_of
from tfkd.recipe.renamed import first_named

_MEASURED = {"assistant", "control", "student", "folds", "compress", "verify"}  # stages with test figures of a recipe
_TEACHER: Literal["teacher"] = "teacher"
# What decides the figures; more seeds of a recipe are no other recipe, and the others are texts, limits and records.
_PARTS = ("data", "teachers", "student", "distill", "compress", "seed")
_OF_DISTILL = ("auto", "reasons", "features", "repeats")
_OF_EXPORT = ("calibration_images", "ranges", "float_layers")


@dataclass(frozen=True)
class _Use:
    """One line of the file: who used the test split of these examples for which recipe."""

    test: str
    what: str
    recipe: str


def note_stages(
    folder: RunFolder, data: Dataset, recipe: Recipe, names: Iterable[str], what: UserOfTest = "run"
) -> None:
    """Notes the test figures that finished stages of a recipe have; a part without some folds notes none.

    Args:
        folder: of the run.
        data: its examples.
        recipe: resolved.
        names: of the stages.
        what: command that they were run for.
    """
    if folder.whole is not None:
        return
    kinds = {kind_of(name) for name in names}
    if _TEACHER in kinds:
        values = first_named(recipe.model_dump(mode="json"))
        note(folder, data, _TEACHER, [fingerprint(values["data"], values["teachers"], recipe.seed)])
    if kinds & _MEASURED:
        note_recipe(folder, data, recipe, what)


def note_recipe(folder: RunFolder, data: Dataset, recipe: Recipe, what: UserOfTest) -> None:
    """Notes that test figures of a recipe exist; arguments as of `note_stages`."""
    note(folder, data, what, [key_of(recipe)])


def note(folder: RunFolder, data: Dataset, what: UserOfTest, keys: Iterable[str]) -> None:
    """Appends uses that are not in the file.

    Args:
        folder: of the run, which must be locked.
        data: its examples.
        what: who looked.
        keys: of the recipes.

    Raises:
        RequestError: the file cannot be written.
    """
    test, known = _named(data), set(_read(folder))
    new = [use for key in keys if (use := _Use(test, what, key)) not in known]
    if not new:
        return
    lines = "".join(f"\n{json.dumps(asdict(use))}" for use in new)  # also after a line that was cut short
    with cannot_write(folder.test_uses), folder.test_uses.open("ab") as stream:
        stream.write(lines.encode())
        stream.flush()
        os.fsync(stream.fileno())


def uses_of_test(folder: RunFolder, data: Dataset) -> list[UseOfTest]:
    """Returns what has looked at the test split of these examples so far, for the manifest."""
    test, keys = _named(data), dict[str, set[str]]()
    for use in _read(folder):
        if use.test == test:
            keys.setdefault(use.what, set()).add(use.recipe)
    return [UseOfTest(what=what, recipes=sorted(keys[what])) for what in get_args(UserOfTest) if what in keys]


def key_of(recipe: Recipe) -> str:
    """Returns the fingerprint of what decides the test figures of a resolved recipe."""
    values = first_named(recipe.model_dump(mode="json"))
    values["distill"] = {name: value for name, value in values["distill"].items() if name not in _OF_DISTILL}
    export = {name: values["export"].get(name) for name in _OF_EXPORT}
    return fingerprint({name: values.get(name) for name in _PARTS}, export)


def _named(data: Dataset) -> str:
    """Returns a fingerprint of the content of the test examples, in any order."""
    test = data.test
    content = [test.name(i) for i in range(len(test))] if test.checksums is None else test.checksums.tolist()
    return fingerprint(sorted(content))


def _read(folder: RunFolder) -> Iterator[_Use]:
    try:
        lines = folder.test_uses.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            values: Any = json.loads(line)
            yield _Use(*(str(values[name]) for name in ("test", "what", "recipe")))
        except (ValueError, KeyError, TypeError):
            continue
