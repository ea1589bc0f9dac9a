"""What a stage is: one record per stage, in its own file under `tfkd.pipeline.stages`."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import TypeAdapter

from tfkd.pipeline.stage import WorkResult
from tfkd.recipe import Recipe
from tfkd.recipe.names import numbered

if TYPE_CHECKING:
    from tfkd.pipeline.context import RunContext
    from tfkd.pipeline.sources import Sources

Result = TypeVar("Result")


@dataclass(frozen=True)
class Inputs:
    """What the fingerprint of a stage is of, beside its name and its version.

    Attributes:
        own: settings and digests of contents, by the names that messages use.
        after: names of the stages whose inputs count too, as this one reads their results.
        growing: inputs of which a result of larger values will do, such as the number of views of a store.
    """

    own: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    growing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StageKind(Generic[Result]):
    """One stage of a run, or one of several that differ by their number, such as teacher, teacher-2, …

    Attributes:
        name: as `tfkd run --until` takes it.
        version: raise it when the code gives other results; finished stages of older code are then done again.
        result: dataclass of what the work returns; `stage.json` keeps its fields. Its `seconds`, where it has any, are
            what the work took with all earlier calls that it went on from.
        inputs: returns what the result depends on.
        work: does the work of the numbered stage in its folder and returns the result.
        cost: returns in words what the work takes, for `tfkd plan`.
        count: returns how many of these stages a recipe has.
        kept: "latest": one folder, in which a new result takes the place of the one before. What costs hours has one
            folder per fingerprint and stays when settings change: a "store" is filled further on any machine, a
            "training" is continued only with the cores and libraries that it was begun with.
        product: what the stage makes, in words; the name where it is empty.
    """

    name: str
    version: int
    result: type[Result]
    inputs: "Callable[[Sources, int], Inputs]"
    work: "Callable[[RunContext, int], Result]"
    cost: "Callable[[RunContext, int], str]" = lambda context, number: ""
    count: Callable[[Recipe], int] = lambda recipe: 1
    kept: Literal["latest", "store", "training"] = "latest"
    product: str = ""

    @functools.cached_property
    def _adapter(self) -> TypeAdapter[Result]:
        return TypeAdapter(self.result)

    def numbered(self, number: int) -> str:
        """Returns the name of stage number 0, 1, …"""
        return numbered(self.name, number)

    def read(self, kept: Mapping[str, Any]) -> Result:
        """Returns the result that `stage.json` keeps."""
        return self._adapter.validate_python(kept)

    def work_result(self, result: Result) -> WorkResult:
        """Returns a result as `stage.json` keeps it."""
        kept = self._adapter.dump_python(result, mode="json")
        return WorkResult(kept, getattr(result, "seconds", 0.0))
