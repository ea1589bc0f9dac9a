"""The arguments of commands that read a recipe, and reading it."""

import functools
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkd import import_path
from tfkd.terminal import restore

if TYPE_CHECKING:
    from tfkd.recipe import Recipe

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="Python file with `recipe = Recipe(...)`, or JSON")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[key=value ...]", help="fields to change, e.g. distill.views=4")
]
Runs = Annotated[Path, typer.Option(help="folder of the runs")]
Out = Annotated[Path, typer.Option(help="folder of the bundles")]
OnCluster = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="do the long work on a Ray cluster: auto, or host:port of its head"),
]
Smoke = Annotated[bool, typer.Option("--smoke", help="shrink the recipe to about a minute, to check that it runs")]


def command_of(recipe: Path, overrides: Sequence[str], runs: Path, more: Sequence[str] = ()) -> str:
    """Returns the command that runs a recipe.

    Args:
        recipe: its file.
        overrides: the user's.
        runs: the folder of the runs.
        more: further overrides; the last one of a field is kept.
    """
    place = [] if runs == Path("runs") else ["--runs", str(runs)]
    merged: dict[str, str] = {}
    for override in (*overrides, *more):
        field = override.partition("=")[0]
        merged.pop(field, None)  # the last one comes after what it changes
        merged[field] = override
    return shlex.join(["tfkd", "run", *place, str(recipe), *merged.values()])


OF_ANY_RECIPE = functools.partial(command_of, Path("RECIPE"), (), Path("runs"))  # where it is not known


def read_recipe(recipe: Path, overrides: list[str] | None, smoke: bool = False) -> "Recipe":
    """Reads a recipe with overrides, which may name modules in the current folder and in its own."""
    from tfkd.recipe import files as recipe_files
    from tfkd.recipe import shrunk

    import_path.append(os.curdir)  # a recipe may name models in the current folder
    if recipe.suffix == ".py":
        import_path.append(recipe.parent)
    parsed = recipe_files.load(recipe, overrides)
    restore()
    return shrunk(parsed) if smoke else parsed
