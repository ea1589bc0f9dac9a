"""The options of `tfkd plan` that plan a run on other machines. Every call of tfkd imports this module."""

import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkd.terminal import say, say_lines, show

if TYPE_CHECKING:
    from tfkd.pipeline.scale.planning import ScaleRequest
    from tfkd.recipe import Recipe

MachinesFlag = Annotated[int | None, typer.Option(min=1, max=100_000, help="plan the run on so many machines")]
GpusFlag = Annotated[int | None, typer.Option(min=0, max=1024, help="GPUs per machine; default: as measured")]
CoresFlag = Annotated[int | None, typer.Option(min=1, max=100_000, help="cores per machine; default: as measured")]
ImagesFlag = Annotated[str | None, typer.Option(help="training examples, e.g. 100e6; default: those of the recipe")]
PriceFlag = Annotated[float | None, typer.Option(help="price per hour of one machine; default: cost.per_hour")]
RatesFlag = Annotated[
    Path | None, typer.Option(metavar="FILE", help="JSON of gpu_check.py or --json; default: measure this machine")
]
LinkFlag = Annotated[
    float | None, typer.Option(help="gigabits per second from a machine to the shared storage; default: 10")
]
SpreadFlag = Annotated[
    float | None, typer.Option(help="standard deviation of the machines' times, as a fraction; default: 0.05")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="print the plan on other machines as JSON")]


@dataclass(frozen=True)
class SizeOptions:
    """The options as they were given; None: not given."""

    machines: int | None
    gpus: int | None
    cores: int | None
    images: str | None
    price: float | None
    rates: Path | None
    link: float | None
    spread: float | None

    @property
    def any_given(self) -> bool:
        """Whether there is one."""
        return any(value is not None for value in vars(self).values())

    def request(self) -> "ScaleRequest":
        """Returns them with their values checked.

        Raises:
            RequestError: a value is out of its range.
        """
        from tfkd.pipeline.scale.cluster import examples_of, within
        from tfkd.pipeline.scale.planning import ScaleRequest

        limits = {"price": (0.0, 1e9), "link": (1e-3, 1e6), "spread": (0.0, 0.5)}
        numbers = {
            name: None if getattr(self, name) is None else within(f"--{name}", getattr(self, name), *limit)
            for name, limit in limits.items()
        }
        return ScaleRequest(
            machines=self.machines,
            gpus=self.gpus,
            cores=self.cores,
            examples=None if self.images is None else examples_of(self.images),
            per_hour=numbers["price"],
            rates=self.rates,
            link=numbers["link"],
            spread=numbers["spread"],
        )


def show_plan(recipe: "Recipe | None", request: "ScaleRequest", runs: Path, as_json: bool) -> None:
    """Plans a run on other machines, and prints the plan.

    Args:
        recipe: the recipe; None: the reference work.
        request: the machines.
        runs: the folder of the runs.
        as_json: print nothing but JSON.
    """
    from tfkd import machine
    from tfkd.pipeline.scale import tables
    from tfkd.pipeline.scale.planning import plan_at_scale
    from tfkd.progress import Silent, for_output

    load = os.getloadavg()[0]
    result = plan_at_scale(recipe, request, Silent() if as_json else for_output(), runs)
    if as_json:
        command = shlex.join(["tfkd", *sys.argv[1:]])
        here = {"command": command, "machine": machine.environment(), "load_before": load}
        say_lines(json.dumps({**here, **result.as_json()}, indent=2))
        return
    show(*tables.tables(result))
    for sentence in tables.sentences(result):
        say(sentence)
