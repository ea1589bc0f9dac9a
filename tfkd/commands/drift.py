"""The command `tfkd drift`. Every call of tfkd imports this module, so it imports little itself."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tfkd.commands.outputs import write_outputs
from tfkd.terminal import show


def drift(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="folder of the bundle that the phones run")],
    counts: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[COUNTS ...]", help="counts of phones: files, or folders of them"),
    ] = None,
    *,
    file: Annotated[str | None, typer.Option(help="file of the bundle, where counts are of several")] = None,
    alarm_rate: Annotated[float, typer.Option(help="probability of a false alarm over all looks of a call")] = 0.01,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="first day that counts, e.g. 2026-11-30")] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="last day that counts")] = None,
    samples: Annotated[
        str | None, typer.Option(help="examples that came back, e.g. folder:returned: file and teacher predict them")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="the teacher's model file, for --samples; default: that of the run")
    ] = None,
    runs: Annotated[Path, typer.Option(help="folder of the runs, where the teacher is")] = Path("runs"),
    seed: Annotated[int, typer.Option(min=0, help="seed of the drawings")] = 1,
    out: Annotated[Path | None, typer.Option(help="file for everything as JSON")] = None,
    html: Annotated[Path | None, typer.Option(help="file for a page with plots (.html)")] = None,
) -> None:
    """Compare what phones count of a bundle's predictions with its test examples.

    Exit code 1 when a difference is larger than chance makes.
    """
    from tfkd.bundle.seal import require_outputs
    from tfkd.monitor import phones
    from tfkd.monitor.drifting import DriftRequest, day_of
    from tfkd.pipeline import returned
    from tfkd.progress import for_output
    from tfkd.report import drifts

    require_outputs(out, html, inputs=(bundle, *phones.files_in(counts or [])))
    asked = DriftRequest(file, alarm_rate, day_of("--since", since), day_of("--until", until), seed)
    found = returned.drift(bundle, counts or [], asked, samples, teacher, runs, for_output())
    show(*drifts.tables(found))
    write_outputs(found, partial(drifts.write_page, found), out, html)
    if found.alarm:
        raise typer.Exit(1)
