"""The command `tfkd store`. Every call of tfkd imports this module, so it imports little itself."""

from pathlib import Path
from typing import Annotated

import typer

from tfkd.commands.recipes import Overrides, RecipeFile, Runs, Smoke, read_recipe
from tfkd.errors import RequestError


def store(
    recipe: RecipeFile,
    overrides: Overrides = None,
    part: Annotated[
        str | None, typer.Option(metavar="I/N", help="fill this part, e.g. 2/8; parts may be filled at the same time")
    ] = None,
    join: Annotated[bool, typer.Option("--join", help="check all parts and join them")] = False,
    smoke: Smoke = False,
    runs: Runs = Path("runs"),
) -> None:
    """Fill the soft-label stores of a recipe in parts, by several processes or machines that share the runs' folder.

    The teachers must be finished: tfkd run RECIPE --until teacher.
    """
    from tfkd.pipeline import store_parts
    from tfkd.progress import for_output

    if (part is None) != join:
        raise RequestError("Give either --part, to fill a part, or --join, to join the parts.")
    asked = store_parts.part_of(part) if part is not None else None
    parsed = read_recipe(recipe, overrides, smoke)
    if asked is None:
        store_parts.join_parts(parsed, for_output(), runs)
    else:
        store_parts.fill_part(parsed, for_output(), runs, asked)
