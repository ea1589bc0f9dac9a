"""The record of a stage; each stage has one, in its own file under `tfkd.pipeline.stages`."""

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

StageResult = TypeVar("StageResult")


@dataclass(frozen=True)
class Inputs:
    """The inputs of a stage's fingerprint, in addition to its name and version.

    Attributes:
        own: settings and digests of contents, by their names in messages.
        after: names of the stages whose results this one reads, so that their inputs count too.
        growing: inputs for which a result of larger values is valid, such as the number of views of a store.
    """

    own: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    growing: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StageKind(Generic[StageResult]):
    """One stage of a run, or one of several that differ by their number, such as teacher, teacher-2, …

    Attributes:
        name: name, as in `tfkd run --until`.
        version: increase it when the code gives other results; finished stages of older versions run again.
        result: dataclass of the result, stored in `stage.json`. A field `seconds` is the time of the work including
            earlier calls that it continued.
        inputs: returns the inputs of the result.
        work: runs the numbered stage in its folder and returns the result.
        cost: describes the cost of the work, for `tfkd plan`.
        count: returns the number of these stages in a recipe.
        kept: "latest": one folder, in which a new result replaces the previous one. Expensive results have one folder
            per fingerprint and stay when settings change: a "store" can be continued on any machine, a "training" only
            with the same cores and libraries.
        product: noun for the stage's result; default: its name.
    """

    name: str
    version: int
    result: type[StageResult]
    inputs: "Callable[[Sources, int], Inputs]"
    work: "Callable[[RunContext, int], StageResult]"
    cost: "Callable[[RunContext, int], str]" = lambda context, number: ""
    count: Callable[[Recipe], int] = lambda recipe: 1
    kept: Literal["latest", "store", "training"] = "latest"
    product: str = ""

    @functools.cached_property
    def _adapter(self) -> TypeAdapter[StageResult]:
        return TypeAdapter(self.result)

    def numbered(self, number: int) -> str:
        """Returns the name of stage number 0, 1, …"""
        return numbered(self.name, number)

    def read(self, record: Mapping[str, Any]) -> StageResult:
        """Returns the result from the content of `stage.json`."""
        return self._adapter.validate_python(record)

    def work_result(self, result: StageResult) -> WorkResult:
        """Returns a result in the form of `stage.json`."""
        record = self._adapter.dump_python(result, mode="json")
        return WorkResult(record, getattr(result, "seconds", 0.0))
