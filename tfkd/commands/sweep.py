"""The command `tfkd sweep`. Every call of tfkd imports this module, so it imports little itself."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkd.commands.recipes import OnCluster, RecipeFile, Runs, Smoke, read_recipe
from tfkd.errors import RequestError
from tfkd.terminal import say, show

if TYPE_CHECKING:
    from tfkd.recipe import Recipe


def sweep(
    recipe: RecipeFile,
    settings: Annotated[
        list[str], typer.Argument(metavar="key=value,value ...", help="fields to vary, e.g. distill.views=2,4,8")
    ],
    smoke: Smoke = False,
    listed: Annotated[
        bool, typer.Option("--list", help="fill the stores and show one command per training, for other machines")
    ] = False,
    training: Annotated[
        str | None, typer.Option(metavar="K/N", help="run one training of --list alone, e.g. 2/8")
    ] = None,
    cluster: OnCluster = None,
    runs: Runs = Path("runs"),
) -> None:
    """Train several students from one soft-label store and compare them with their control."""
    from tfkd.pipeline import sweep as sweeps
    from tfkd.pipeline.store_parts import part_of
    from tfkd.progress import Silent, for_output

    if sum((listed, training is not None, cluster is not None)) > 1:
        raise RequestError("--list, --training and --cluster exclude each other; give one of them.")
    place = part_of(training, "--training") if training is not None else None
    parsed = {name: read_recipe(recipe, overrides, smoke) for name, overrides in sweeps.variations(settings).items()}
    if listed:
        same = ["--smoke"] * smoke + ([] if runs == Path("runs") else ["--runs", str(runs)])
        count = sweeps.number_of_trainings(parsed, Silent(), runs)
        for number in range(1, count + 1):
            say(shlex.join(["tfkd", "sweep", str(recipe), *settings, *same, "--training", f"{number}/{count}"]))
    elif place is not None:
        sweeps.train_one(parsed, for_output(), place.number, place.of, runs)
    else:
        _compare(parsed, cluster, runs)


def _compare(parsed: "Mapping[str, Recipe]", cluster: str | None, runs: Path) -> None:
    from tfkd.files import write_text
    from tfkd.pipeline import sweep as sweeps
    from tfkd.pipeline.cluster import executor_on
    from tfkd.pipeline.folders import RunFolder
    from tfkd.progress import for_output
    from tfkd.report import trials

    run, progress = RunFolder(runs / next(iter(parsed.values())).name), for_output()
    with executor_on(cluster, run.path, progress) as executor:
        found = sweeps.sweep(parsed, progress, runs, executor)
    write_text(run.sweep / "sweep.svg", trials.plot(found))
    show(trials.table(found))
    say(f"The plot is in {run.sweep}/sweep.svg, the numbers are in {run.sweep}/sweep.json")
