"""The command `tfkd diff`. Every call of tfkd imports this module, so it imports little itself."""

from pathlib import Path
from typing import Annotated

import typer

from tfkd.terminal import say, show


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="folder of the bundle that an app uses")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="folder of the bundle that is to replace it")],
    data: Annotated[
        str | None, typer.Option(help="examples that both predict, e.g. folder:photos or texts:t.csv")
    ] = None,
    *,
    max_negative_flips: Annotated[
        str | None,
        typer.Option(help="limit: examples that only the old file has right, of those it has right, e.g. 1%"),
    ] = None,
    max_accuracy_drop: Annotated[str | None, typer.Option(help="limit, e.g. 0.5%")] = None,
    max_size_increase: Annotated[str | None, typer.Option(help="limit, e.g. 5%")] = None,
    max_latency_increase: Annotated[
        str | None, typer.Option(help="limit of latencies and instructions on the same device, e.g. 5%")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="file for everything as JSON")] = None,
    out: Annotated[Path | None, typer.Option(help="file for a page with examples (.html)")] = None,
) -> None:
    """Compare two bundles: what an app that uses OLD notices of NEW.

    Exit code 1 when NEW breaks what the app relies on, or exceeds a limit.
    """
    from tfkd import files
    from tfkd.bundle.seal import require_unsealed
    from tfkd.progress import for_output
    from tfkd.releases import comparing
    from tfkd.releases.limits import limits_of
    from tfkd.report import diffs

    for written in (json, out):
        require_unsealed(written)
        files.require_outside(written, old, new)
    limits = limits_of(
        {
            "max_negative_flips": max_negative_flips,
            "max_accuracy_drop": max_accuracy_drop,
            "max_size_increase": max_size_increase,
            "max_latency_increase": max_latency_increase,
        }
    )
    outcome = comparing.compare(old, new, data, limits, for_output())
    show(*diffs.tables(outcome.diff))
    if json is not None:
        files.write_json(json, outcome.diff.model_dump(mode="json", by_alias=True))
    if out is not None:
        diffs.write_page(outcome, out)
        say(f"The page is {out}")
    if not outcome.diff.passed:
        raise typer.Exit(1)
