"""The command `tfkd bench`. Every call of tfkd imports this module, so it imports little itself."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkd.benchmark import TARGETS
from tfkd.commands.target_flags import changed, with_flags
from tfkd.errors import TfkdError
from tfkd.terminal import say, show

if TYPE_CHECKING:
    from tfkd.benchmark.bundle import BenchOutcome


@with_flags()
def bench(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE|FILE", help="folder of a bundle, or a .tflite file")],
    target: Annotated[
        str,
        typer.Option(help=", ".join(each.written for each in TARGETS.values()), autocompletion=lambda: list(TARGETS)),
    ] = "host",
    only: Annotated[str, typer.Option(help="pattern of the files to measure, e.g. '*_int8.tflite'")] = "*",
    golden: Annotated[
        Path | None, typer.Option(help="for a single file: .npz of images or ids, and predictions")
    ] = None,
    *,
    max_median_ms: Annotated[float | None, typer.Option(min=0, help="limit")] = None,
    max_p90_ms: Annotated[
        float | None, typer.Option(min=0, help="limit; benchmark_model reports the 95th percentile instead")
    ] = None,
    max_p95_ms: Annotated[float | None, typer.Option(min=0, help="limit")] = None,
    max_memory_mb: Annotated[float | None, typer.Option(min=0, help="limit")] = None,
    max_instructions: Annotated[int | None, typer.Option(min=0, help="limit")] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="earlier results, from --json or measurements/; best with --runs 600 --processes 20"),
    ] = None,
    max_regression: Annotated[str | None, typer.Option(help="limit against the baseline, e.g. 5%")] = None,
    json: Annotated[Path | None, typer.Option(help="file for the results with every sample")] = None,
    junit: Annotated[Path | None, typer.Option(help="file for a JUnit report")] = None,
    record: Annotated[bool, typer.Option("--record/--no-record", help="save the results in the bundle")] = True,
    **options: Any,
) -> None:
    """Benchmark the files of a bundle, or a single file, on a target; a bundle keeps the results in measurements/.

    Exit code 1 when a limit is exceeded or golden examples differ, 4 when the device could not be measured.
    """
    from tfkd import files
    from tfkd.benchmark import bundle as bundles
    from tfkd.benchmark import gates, outputs
    from tfkd.bundle.seal import require_outputs
    from tfkd.progress import for_output

    require_outputs(json, junit)
    json, junit = (each and files.resolved(each) for each in (json, junit))
    began = time.monotonic()
    try:
        times = (max_median_ms, max_p90_ms, max_p95_ms)
        regression = None if max_regression is None else gates.parse_fraction(max_regression)
        limits = gates.Limits(*times, max_memory_mb, max_instructions, baseline, regression)
        request = bundles.BenchRequest(path, target, changed(options), limits, only, golden, record)
        measured = bundles.measure(request, for_output().say)
        _show(measured, json)
        verdicts = measured.judged()
    except TfkdError as error:
        if junit is not None:
            outputs.write_junit_error(junit, target, error)
        raise
    if junit is not None:
        outputs.write_junit(junit, target, measured.results, measured.skipped, verdicts, time.monotonic() - began)
    if verdicts:
        show(outputs.gates_table(verdicts))
    if not all(gate.passed for gate in verdicts):
        raise typer.Exit(1)


def _show(measured: "BenchOutcome", json: Path | None) -> None:
    """Shows and writes the results, before limits are checked."""
    from tfkd.benchmark import outputs
    from tfkd.bundle import results

    show(outputs.table(measured.results))
    if measured.record is not None:
        from tfkd.report import devices

        say(f"The results are in {measured.record}, all devices in {devices.rewrite(measured.record.parents[1])}")
    if json is not None:
        results.write(json, measured.results, measured.skipped)
