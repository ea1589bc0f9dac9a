"""Runs the user's benchmark binary on an Android device: TFLite's or LiteRT's, recognised by its output."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd import files
from tfkd.benchmark import driver, statistics
from tfkd.benchmark.android import answers, benchmark_model
from tfkd.benchmark.android.adb import connected
from tfkd.benchmark.android.benchmark_model import Summary
from tfkd.benchmark.android.binary import Tool, installed
from tfkd.benchmark.android.session import RUN, PhoneJob, Session
from tfkd.benchmark.options import AndroidOptions, RunnerOptions, names
from tfkd.benchmark.subject import BenchSubject
from tfkd.bundle.results import Device, GoldenCheck, Latency, Result, Skipped
from tfkd.errors import RequestError

READS = {*names(RunnerOptions)} | {"benchmark_model", "profile", "delegate", "cores", "cooling", "keep"}
UNJUDGED = frozenset({"max_p90_ms", "max_regression"})
"""Limits that the tools cannot be judged by: they print the median and the 95th percentile, and no samples."""


@dataclass(frozen=True)
class _Graph:
    """A file on the device, and the tool's options for its random input."""

    path: str
    inputs: dict[str, str]


@dataclass(frozen=True)
class _RunVariant:
    """A file as it is run: on which delegate, and on the CPU with how many threads."""

    name: str
    delegate: str
    threads: int | None


def measure(session: Session, device: Device, job: PhoneJob) -> list[Result]:
    """Times every file in turn, in the requested number of processes.

    Args:
        session: the device.
        device: what results say about it.
        job: the files, how often, by which tool, for Android on ARM64, and who hears of what it does not take.

    Returns:
        One result per file, delegate and number of threads, without samples: the tool reports only quantiles.

    Raises:
        RequestError: the tool is not for this device, cannot run a file on the CPU, or says what it should not.
        MachineError: it gave no sign of life for too long, or the device is gone.
    """
    subject, options = job.subject, job.options
    assert options.benchmark_model is not None
    tool = installed(session, options.benchmark_model, options.patience)
    graphs = {
        name: _Graph(session.store(path), answers.inputs(tool, subject, name)) for name, path in subject.paths.items()
    }
    threads = driver.counts(options, _all_cores(session, device))
    processes = min(options.processes, options.runs)
    with connected(session.phone, f"{tool.path.name} was interrupted"):
        found = _usable(tool, graphs, threads, job)
        for number in range(processes):
            for variant in found:
                kind = variant.delegate if variant.threads is None else f"{variant.threads} threads"
                job.say(f"{tool.path.name} on {variant.name}, process {number + 1} of {processes}, {kind}")
                found[variant].append(_timed(tool, graphs[variant.name], variant, options, processes))
        golden = {
            (variant.name, variant.delegate): answers.compared(
                tool, graphs[variant.name].path, subject, variant.name, variant.delegate, _partitions(each)
            )
            for variant, each in found.items()
        }
        if options.profile is not None:
            for name, graph in graphs.items():
                _profile(tool, graph, options.profile / f"{Path(name).stem}.csv")
    return [
        _result(tool, device, subject, variant, summaries, golden[variant.name, variant.delegate])
        for variant, summaries in found.items()
    ]


def _usable(
    tool: Tool, graphs: dict[str, _Graph], threads: tuple[int, ...], job: PhoneJob
) -> dict[_RunVariant, list[Summary]]:
    """Returns the variants to time; the listener receives those that a GPU or an NPU does not run."""
    found: dict[_RunVariant, list[Summary]] = {}
    for delegate in job.options.delegate or ("cpu",):
        for name, graph in graphs.items():
            if delegate == "cpu":
                found |= {_RunVariant(name, delegate, count): [] for count in threads}
                continue
            try:
                _require_delegate(tool, delegate)
                benchmark_model.read_log(_run_once(tool, graph, delegate))
                found[_RunVariant(name, delegate, None)] = []
            except RequestError as error:
                job.listener.on_skipped(Skipped(path=name, delegate=delegate, reason=str(error)))
    if not found:
        raise RequestError(f"{tool.path.name} ran no file on {' or '.join(job.options.delegate)}. Add --delegate cpu.")
    return dict(sorted(found.items(), key=lambda item: item[0].threads or 0))


def _run_once(tool: Tool, graph: _Graph, delegate: str) -> str:
    return tool.run(graph.path, 1, delegate, **graph.inputs, num_runs=1, min_secs=0, warmup_runs=1)


def _require_delegate(tool: Tool, delegate: str) -> None:
    if delegate == "npu" and not tool.litert:
        raise RequestError(f"{tool.path.name} is TFLite's tool, which knows no NPU. Take LiteRT's.")


def _partitions(summaries: list[Summary]) -> int | None:
    return next((each.partitions for each in summaries if each.partitions is not None), None)


def _timed(tool: Tool, graph: _Graph, variant: _RunVariant, options: AndroidOptions, processes: int) -> Summary:
    result = f"{RUN}/result.pb"
    runs = math.ceil(options.runs / processes)
    log = tool.run(
        graph.path,
        variant.threads or 1,
        variant.delegate,
        **graph.inputs,
        num_runs=runs,
        min_secs=0,
        warmup_runs=max(options.warmup, 1),
        warmup_min_secs=0,
        report_peak_memory_footprint="true",
        result_file_path=result,
    )
    logged = benchmark_model.read_log(log)
    # Older tools write no such file; where there is one it must say what the log says.
    if content := tool.fetched(result):
        stated = benchmark_model.read_result(content)
        if stated.runs != logged.runs or not math.isclose(stated.median_ms, logged.median_ms, rel_tol=1e-3):
            raise RequestError(f"{tool.path.name} says one thing in its log and another in its result. Measure again.")
    tool.session.phone.shell(f"rm -f {result}")
    return logged


def _profile(tool: Tool, graph: _Graph, path: Path) -> None:
    """Writes the times of the operators, in a run of its own: telling them costs time."""
    table = f"{RUN}/profile.csv"
    tool.run(
        graph.path,
        1,
        "cpu",
        **graph.inputs,
        enable_op_profiling="true",
        op_profiling_output_mode="csv",
        op_profiling_output_file=table,
        num_runs=20,
    )
    text = (tool.fetched(table) or b"").decode(errors="replace")
    benchmark_model.read_profile(text)
    files.write_text(path, text)


def _result(
    tool: Tool,
    device: Device,
    subject: BenchSubject,
    variant: _RunVariant,
    summaries: list[Summary],
    golden: GoldenCheck | None,
) -> Result:
    medians = [each.median_ms for each in summaries]
    memories = [each.peak_memory_mb for each in summaries if each.peak_memory_mb is not None]
    firsts = [each.first_ms for each in summaries if each.first_ms is not None]
    median = float(np.median(medians))
    return Result(
        target="android",
        device=device,
        runtime=tool.runtime,
        delegate=_label(tool, variant.delegate),
        artifact=subject.artifacts[variant.name],
        threads=variant.threads,
        warmup=max(each.warmup for each in summaries),
        runs=sum(each.runs for each in summaries),
        processes=len(summaries),
        latency_ms=Latency(
            median=median,
            p95=float(np.median([each.p95_ms for each in summaries])),
            min=min(each.min_ms for each in summaries),
            interval=statistics.median_interval(medians),
        ),
        init_ms=float(np.median([each.init_ms for each in summaries])),
        first_inference_ms=firsts[0] if firsts else None,
        peak_memory_mb=max(memories, default=None),
        partitions=_partitions(summaries),
        golden=golden,
        emulated=False,
        rung="device",
    )


def _label(tool: Tool, delegate: str) -> str:
    """Returns a delegate's name in results."""
    return delegate if tool.litert or delegate != "cpu" else "xnnpack"


def _all_cores(session: Session, device: Device) -> int:
    return len(session.cores) or sum(kind.count for kind in device.cores) or 1
