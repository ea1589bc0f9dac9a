"""The stages of a recipe, in order, and their fingerprints. No other module knows the order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfkd.data import Dataset
from tfkd.files import fingerprint
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources
from tfkd.pipeline.stage import Stage, conditions
from tfkd.pipeline.stages import STAGES
from tfkd.pipeline.stages.data import DATA
from tfkd.pipeline.stages.trainings import SIDE_BY_SIDE
from tfkd.recipe import Recipe
from tfkd.recipe.names import kind_of, number_of

ORDER = (DATA, *STAGES)  # values of `--until`
_ALTERNATING = (("teacher", "soft_labels"), ("assistant", "assistant_labels"))


def stages_of(recipe: Recipe, data: Dataset, folder: Path) -> dict[str, Stage]:
    """Returns every stage after the data, in order, with everything that its result depends on.

    Stores and trainings, which take long, have one folder per fingerprint, so that other settings do not replace them.
    Quick stages have one folder per stage.

    Raises:
        RequestError: a file that the recipe names is missing or unreadable.
    """
    sources = Sources(recipe, data, folder / DATA)
    found: dict[str, Stage] = {}
    for kind, number in _in_order(recipe):
        name = kind.numbered(number)
        inputs = kind.inputs(sources, number)
        found[name] = _stage(kind, name, inputs, [found[before] for before in inputs.after], folder)
    return found


def groups(recipe: Recipe, names: list[str]) -> list[list[str]]:
    """Returns the names of stages in the order of execution; those of one group run side by side.

    Teachers that are not fine-tuned come first, so that a wrong one stops the run before any other is trained.
    """
    together: list[str] = [name for name in names if name in SIDE_BY_SIDE]
    alone = [[name] for name in names if name not in SIDE_BY_SIDE[:-1]]
    alone.sort(key=lambda group: not _is_used_as_it_is(recipe, group[0]))
    return [together if group[0] in SIDE_BY_SIDE else group for group in alone]


def _in_order(recipe: Recipe) -> Iterator[tuple[StageKind[Any], int]]:
    """Yields the kind and the number of every stage: each network is followed by the store of its soft labels."""
    for kinds in _ALTERNATING:
        for number in range(STAGES[kinds[0]].count(recipe)):
            yield from ((STAGES[kind], number) for kind in kinds)
    alternating = {kind for kinds in _ALTERNATING for kind in kinds}
    for name, kind in STAGES.items():
        if name not in alternating:
            yield from ((kind, number) for number in range(kind.count(recipe)))


def _stage(kind: StageKind[Any], name: str, inputs: Inputs, before: list[Stage], folder: Path) -> Stage:
    every: dict[str, Any] = {}
    for part in (*(stage.inputs for stage in before), {f"version of {name}": kind.version}, inputs.own):
        every |= part
    base = fingerprint(name, every)
    place = folder / name if kind.kept == "latest" else folder / name / base
    needed = conditions() if kind.kept == "training" else {}
    return Stage(place, base, every, kind.product or kind.name, inputs.growing, needed, name)


def _is_used_as_it_is(recipe: Recipe, name: str) -> bool:
    return kind_of(name) == "teacher" and recipe.teachers[number_of(name)].fine_tune is None
