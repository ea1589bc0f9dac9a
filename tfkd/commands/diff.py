"""The command `tfkd diff`. Every call of tfkd imports this module, so it imports little itself."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tfkd.commands.outputs import write_outputs
from tfkd.terminal import show


def diff(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", help="folder of the bundle that an app uses, or a lock of teachers")
    ],
    new: Annotated[
        Path, typer.Argument(metavar="NEW", help="folder of the bundle that is to replace it, or another lock")
    ],
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
    """Compare two bundles: what an app that uses OLD notices of NEW. Or two locks: how far their teachers agree.

    Exit code 1 when NEW breaks what the app relies on, or exceeds a limit; of locks, when the teachers are others.
    """
    from tfkd.bundle.seal import require_outputs
    from tfkd.bundle.teacher_lock import is_lock
    from tfkd.progress import for_output
    from tfkd.releases import comparing
    from tfkd.releases.limits import limits_of
    from tfkd.report import diffs

    require_outputs(json, out, inputs=(old, new))
    named: dict[str, str | float | None] = {
        "max_negative_flips": max_negative_flips,
        "max_accuracy_drop": max_accuracy_drop,
        "max_size_increase": max_size_increase,
        "max_latency_increase": max_latency_increase,
    }
    if is_lock(old) or is_lock(new):
        _diff_locks(old, new, {"data": data, **named}, json, out)
        return
    limits = limits_of(named)
    outcome = comparing.compare(old, new, data, limits, for_output())
    show(*diffs.tables(outcome.diff))
    write_outputs(outcome.diff, partial(diffs.write_page, outcome), json, out)
    if not outcome.diff.passed:
        raise typer.Exit(1)


def _diff_locks(
    old: Path, new: Path, of_bundles: dict[str, str | float | None], json: Path | None, out: Path | None
) -> None:
    """Compares two locks of teachers; the options of bundles are refused."""
    from tfkd.errors import RequestError
    from tfkd.monitor.locks import compare_files
    from tfkd.report import locks

    for name, value in of_bundles.items():
        if value is not None:
            raise RequestError(f"--{name.replace('_', '-')} is for bundles; leave it out to compare locks of teachers.")
    found = compare_files(old, new)
    show(*locks.tables(found))
    write_outputs(found, partial(locks.write_page, found), json, out)
    if not found.passed:
        raise typer.Exit(1)
