"""`tfkd bench BUNDLE --target T`: parses, calls, prints. Every call of tfkd imports it, so it imports little itself."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkd.errors import RequestError, TfkdError
from tfkd.terminal import say, show

if TYPE_CHECKING:
    from tfkd.benchmark.bundle import Measured


def bench(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE|FILE", help="the folder of a bundle, or a .tflite file")],
    target: Annotated[
        str, typer.Option(help="host, ssh://user@board[:port], arm64, android[:SERIAL], ios[:DEVICE or RESULTS.json]")
    ] = "host",
    only: Annotated[str, typer.Option(help="pattern of the files to measure, e.g. '*_int8.tflite'")] = "*",
    golden: Annotated[
        Path | None, typer.Option(help="for a single file: an .npz of images and the answers to them")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=100_000, help="timed inferences per file")] = 300,
    warmup: Annotated[int, typer.Option(min=0, max=10_000, help="untimed ones in each process, at least")] = 10,
    processes: Annotated[int, typer.Option(min=1, max=50, help="that share the runs, one after the other")] = 10,
    threads: Annotated[list[int] | None, typer.Option(min=0, max=256, help="again for more; 0: all cores")] = None,
    patience: Annotated[float, typer.Option(min=1, help="seconds without a sign of life before giving up")] = 120,
    ssh_config: Annotated[Path | None, typer.Option(help="an OpenSSH configuration file")] = None,
    python: Annotated[str, typer.Option(help="the interpreter on the board")] = "python3",
    benchmark_model: Annotated[
        Path | None, typer.Option(help="android: a benchmark_model binary of yours, TFLite's or LiteRT's")
    ] = None,
    profile: Annotated[Path | None, typer.Option(help="android: folder for that binary's operator profiles")] = None,
    delegate: Annotated[
        list[str] | None, typer.Option(help="android: cpu, gpu or npu, again for more; the app measures all")
    ] = None,
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
        Path | None,
        typer.Option(help="earlier results of --json or measurements/; best with --runs 600 --processes 20"),
    ] = None,
    max_regression: Annotated[str | None, typer.Option(help="limit against the baseline, e.g. 5%")] = None,
    json: Annotated[Path | None, typer.Option(help="where to write the results, every sample")] = None,
    junit: Annotated[Path | None, typer.Option(help="where to write a JUnit report")] = None,
    record: Annotated[bool, typer.Option("--record/--no-record", help="keep the results in the bundle")] = True,
) -> None:
    """Measure a bundle's files, or a file, on a target; the bundle's folder measurements/ keeps the results.

    Exit code 1 where a limit or the golden answers are missed, 4 where a device did not let it be measured.
    """
    from tfkd.benchmark import bundle as bundles
    from tfkd.benchmark import gates, outputs
    from tfkd.benchmark.driver import DELEGATES, Options
    from tfkd.progress import for_output

    for name in delegate or ():
        if name not in DELEGATES:
            raise RequestError(f"There is no delegate {name!r}. Known: {', '.join(DELEGATES)}.")
    for written in (json, junit):
        _require_place(written)
    options = Options(
        runs,
        warmup,
        processes,
        tuple(threads or (1, 0)),
        patience,
        ssh_config,
        python,
        benchmark_model,
        profile,
        tuple(delegate or ()),
        tuple(cores or ()),
        cooling,
        keep,
    )
    began = time.monotonic()
    try:
        limits = gates.Limits(
            max_median_ms,
            max_p90_ms,
            max_p95_ms,
            max_memory_mb,
            max_instructions,
            baseline,
            None if max_regression is None else gates.share(max_regression),
        )
        request = bundles.Request(path, target, options, limits, only, golden, record)
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


def _require_place(path: Path | None) -> None:
    """Refuses a file that could not be written, before anything is measured."""
    if path is None:
        return
    folder = next(each for each in path.absolute().parents if each.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise RequestError(f"{path} cannot be written. Name a file in a folder that can.")


def _show(measured: "Measured", json: Path | None) -> None:
    """Shows and writes what was found, before it is judged."""
    from tfkd.benchmark import outputs
    from tfkd.bundle import results

    show(outputs.table(measured.results))
    if measured.record is not None:
        from tfkd.report import devices

        say(f"The results are in {measured.record}, all devices in {devices.rewrite(measured.record.parents[1])}")
    if json is not None:
        results.write(json, measured.results, measured.skipped)
