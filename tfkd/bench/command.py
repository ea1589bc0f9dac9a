"""`tfkd bench BUNDLE --target T`: parses, calls, prints. Every call of tfkd imports it, so it imports little itself."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkd.errors import TfkdError

if TYPE_CHECKING:
    from tfkd.bench.bundle import Outcome

COLUMNS_OF_A_LOG = 140


def bench(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="the folder of a bundle")],
    target: Annotated[
        str, typer.Option(help="host, ssh://user@board[:port], arm64, android[:SERIAL], ios[:DEVICE or RESULTS.json]")
    ] = "host",
    only: Annotated[str, typer.Option(help="pattern of the files to measure, e.g. '*_int8.tflite'")] = "*",
    runs: Annotated[int, typer.Option(min=1, max=100_000, help="timed inferences of each file")] = 300,
    warmup: Annotated[int, typer.Option(min=0, max=10_000, help="untimed ones in each process, at least")] = 10,
    processes: Annotated[int, typer.Option(min=1, max=50, help="that share the runs, one after the other")] = 10,
    threads: Annotated[list[int] | None, typer.Option(min=0, max=256, help="again for more; 0: all cores")] = None,
    patience: Annotated[float, typer.Option(min=1, help="seconds without a sign of life before giving up")] = 120,
    ssh_config: Annotated[Path | None, typer.Option(help="an OpenSSH configuration file")] = None,
    python: Annotated[str, typer.Option(help="the interpreter on the board")] = "python3",
    benchmark_model: Annotated[
        Path | None, typer.Option(help="android: a benchmark_model or benchmark_litert_model binary of yours")
    ] = None,
    profile: Annotated[Path | None, typer.Option(help="android: folder for that binary's operator profiles")] = None,
    cores: Annotated[list[int] | None, typer.Option(min=0, help="android: a core to run on, again for more")] = None,
    cooling: Annotated[float, typer.Option(min=0, help="android: seconds to wait for a hot device")] = 300,
    keep: Annotated[bool, typer.Option("--keep", help="android: leave the files there for the next run")] = False,
    max_median_ms: Annotated[float | None, typer.Option(min=0, help="limit")] = None,
    max_p90_ms: Annotated[
        float | None, typer.Option(min=0, help="limit; benchmark_model tells the 95th percentile instead")
    ] = None,
    max_p95_ms: Annotated[float | None, typer.Option(min=0, help="limit")] = None,
    max_memory_mb: Annotated[float | None, typer.Option(min=0, help="limit")] = None,
    max_instructions: Annotated[int | None, typer.Option(min=0, help="limit")] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="earlier results, written with --json; best with --runs 600 --processes 20")
    ] = None,
    max_regression: Annotated[str | None, typer.Option(help="limit against the baseline, e.g. 5%")] = None,
    json: Annotated[Path | None, typer.Option(help="where to write the results, every sample")] = None,
    junit: Annotated[Path | None, typer.Option(help="where to write a JUnit report")] = None,
) -> None:
    """Measure a bundle's files on a target. Exit code 1 where a limit or the golden answers are missed."""
    from tfkd.bench import bundle as bundles
    from tfkd.bench import gates, outputs, results
    from tfkd.bench.driver import Options
    from tfkd.progress import for_output

    try:
        outcome = bundles.bench(
            bundle,
            target,
            Options(
                runs,
                warmup,
                processes,
                tuple(threads or (1, 0)),
                patience,
                ssh_config,
                python,
                benchmark_model,
                profile,
                tuple(cores or ()),
                cooling,
                keep,
            ),
            gates.Limits(
                max_median_ms,
                max_p90_ms,
                max_p95_ms,
                max_memory_mb,
                max_instructions,
                baseline,
                None if max_regression is None else gates.share(max_regression),
            ),
            only,
            for_output().say,
        )
    except TfkdError as error:
        if junit is not None:
            outputs.write_junit_error(junit, target, str(error))
        raise
    if json is not None:
        results.write(json, outcome.results)
    if junit is not None:
        outputs.write_junit(junit, target, outcome.results, outcome.gates)
    _show(outcome)
    if not outcome.passed:
        raise typer.Exit(1)


def _show(outcome: "Outcome") -> None:
    from rich.console import Console

    from tfkd.bench import outputs

    screen = Console(width=None if sys.stdout.isatty() else COLUMNS_OF_A_LOG)
    screen.print(outputs.table(outcome.results))
    if outcome.gates:
        screen.print(outputs.gates_table(outcome.gates))
