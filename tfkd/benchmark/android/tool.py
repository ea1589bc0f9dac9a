"""Runs a benchmark binary of the user's on an Android device: TFLite's, or LiteRT's, told apart by what they print."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd import files
from tfkd.benchmark import driver, statistics
from tfkd.benchmark.android import benchmark_model
from tfkd.benchmark.android.adb import Phone, connected
from tfkd.benchmark.android.benchmark_model import Summary
from tfkd.benchmark.android.session import RUN, Job, Session
from tfkd.benchmark.driver import ChildError
from tfkd.benchmark.subject import Expected, Subject
from tfkd.bundle.results import Device, GoldenCheck, Latency, Result, Runtime, Skipped
from tfkd.errors import RequestError
from tfkd.verification import families
from tfkd.verification.families import LITERT_KERNELS, XNNPACK

READS = driver.TIMING | {"benchmark_model", "profile", "delegates", "cores", "cooling", "keep"}
UNJUDGED = frozenset({"max_p90_ms", "max_regression"})
"""Limits on what the tools do not tell: they print the median and the 95th percentile, and no samples."""

_AARCH64_ELF = b"\x7fELF\x02\x01"
_MACHINE = slice(18, 20)
_AARCH64 = (183).to_bytes(2, "little")


@dataclass(frozen=True)
class Tool:
    """The user's binary on a device.

    Attributes:
        path: here.
        remote: there.
        session: the device.
        patience: seconds without a sign of life, a printed line or processor time, after which a process is ended.
        litert: whether it is LiteRT's tool, which has other options than TFLite's.
    """

    path: Path
    remote: str
    session: Session
    patience: float
    litert: bool = False

    @property
    def runtime(self) -> Runtime:
        """The tool tells no version: its hash stands in."""
        return Runtime(name=self.path.name, version=f"sha256:{files.sha256(self.path)[:12]}")

    def run(self, graph: str, threads: int, delegate: str, **options: str | int | float) -> str:
        """Runs one process and returns its log.

        Args:
            graph: path of the file on the device.
            threads: of the CPU.
            delegate: a name of `driver.DELEGATES`.
            options: further options of the tool.

        Raises:
            RequestError: it failed.
            MachineError: it gave no sign of life for too long, or the device failed.
        """
        chosen = {"graph": graph, "num_threads": threads, **self._delegation(delegate), **options}
        words = " ".join(f"--{name}={value}" for name, value in chosen.items())
        said: list[str] = []
        try:
            said.extend(driver.living(self.session.watched(f"{self.remote} {words}"), self.patience))
        except ChildError as error:
            raise _failed(self.session.phone, self.path, "".join(said), error) from None
        return "".join(said)

    def _delegation(self, delegate: str) -> dict[str, str]:
        if delegate != "cpu":
            return {f"use_{delegate}": "true"}
        return {"use_cpu": "true"} if self.litert else {"use_xnnpack": "true"}


@dataclass(frozen=True)
class _Variant:
    """A file as it is run: on which delegate, and on the CPU with how many threads."""

    name: str
    delegate: str
    threads: int | None


def measure(session: Session, device: Device, job: Job) -> list[Result]:
    """Times every file in turn, in as many processes as asked for.

    Args:
        session: the device.
        device: what results say about it.
        job: the files, how often, by which tool, for Android on ARM64, and who hears of what it does not take.

    Returns:
        For every file one result a delegate and number of threads, without samples: the tool tells only quantiles.

    Raises:
        RequestError: the tool is not for this device, cannot run a file on the CPU, or says what it should not.
        MachineError: it gave no sign of life for too long, or the device is gone.
    """
    subject, options = job.subject, job.options
    tool = _installed(session, options)
    graphs = {name: session.store(path) for name, path in subject.paths.items()}
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
            (variant.name, variant.delegate): _golden(tool, graphs[variant.name], subject, variant, _partitions(each))
            for variant, each in found.items()
        }
        if options.profile is not None:
            for name, graph in graphs.items():
                _profile(tool, graph, options.profile / f"{Path(name).stem}.csv")
    return [
        _result(tool, device, subject, variant, summaries, golden[variant.name, variant.delegate])
        for variant, summaries in found.items()
    ]


def _installed(session: Session, options: driver.Options) -> Tool:
    """Copies the user's binary to the device, and asks it which of the two tools it is."""
    binary = options.benchmark_model
    assert binary is not None
    _check_binary(binary)
    remote = session.store(binary)
    session.phone.shell(f"chmod 755 {remote}")
    # Neither tool ends with code zero after its help in every version.
    printed = session.phone.shell(f"cd {RUN} && {{ {remote} --help 2>&1 | head -c 100000; }}; true")
    return Tool(binary, remote, session, options.patience, benchmark_model.is_litert(printed))


def _usable(tool: Tool, graphs: dict[str, str], threads: tuple[int, ...], job: Job) -> dict[_Variant, list[Summary]]:
    """Returns the variants to time; what a GPU or an NPU does not take is told to the listener."""
    found: dict[_Variant, list[Summary]] = {}
    for delegate in job.options.delegates or ("cpu",):
        for name, graph in graphs.items():
            if delegate == "cpu":
                found |= {_Variant(name, delegate, count): [] for count in threads}
                continue
            try:
                _require_delegate(tool, delegate)
                benchmark_model.read_log(tool.run(graph, 1, delegate, num_runs=1, min_secs=0, warmup_runs=1))
                found[_Variant(name, delegate, None)] = []
            except RequestError as error:
                job.listener.on_skipped(Skipped(path=name, delegate=delegate, reason=str(error)))
    if not found:
        raise RequestError(f"{tool.path.name} ran no file on {' or '.join(job.options.delegates)}. Add --delegate cpu.")
    return dict(sorted(found.items(), key=lambda item: item[0].threads or 0))


def _require_delegate(tool: Tool, delegate: str) -> None:
    if delegate == "npu" and not tool.litert:
        raise RequestError(f"{tool.path.name} is TFLite's tool, which knows no NPU. Take LiteRT's.")


def _partitions(summaries: list[Summary]) -> int | None:
    return next((each.partitions for each in summaries if each.partitions is not None), None)


def _timed(tool: Tool, graph: str, variant: _Variant, options: driver.Options, processes: int) -> Summary:
    result = f"{RUN}/result.pb"
    runs = math.ceil(options.runs / processes)
    log = tool.run(
        graph,
        variant.threads or 1,
        variant.delegate,
        num_runs=runs,
        min_secs=0,
        warmup_runs=max(options.warmup, 1),
        warmup_min_secs=0,
        report_peak_memory_footprint="true",
        result_file_path=result,
    )
    logged = benchmark_model.read_log(log)
    # Older tools write no such file; where there is one it must say what the log says.
    if content := _fetched(tool.session.phone, result):
        stated = benchmark_model.read_result(content)
        if stated.runs != logged.runs or not math.isclose(stated.median_ms, logged.median_ms, rel_tol=1e-3):
            raise RequestError(f"{tool.path.name} says one thing in its log and another in its result. Measure again.")
    tool.session.phone.shell(f"rm -f {result}")
    return logged


def _fetched(phone: Phone, remote: str) -> bytes | None:
    if not phone.shell(f"[ ! -s {remote} ] || echo there").strip():
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fetched"
        phone.pull(remote, path)
        return path.read_bytes()


def _golden(tool: Tool, graph: str, subject: Subject, variant: _Variant, partitions: int | None) -> GoldenCheck | None:
    """Compares the answers to the golden images, one process per image; LiteRT's tool cannot be fed.

    A tool of any age may have run an integer file inside XNNPACK or outside, so both families are accepted unless the
    tool says that XNNPACK took nothing.
    """
    expected = subject.expected.get(variant.name)
    if expected is None or tool.litert:
        return None
    form = _Form(subject.paths[variant.name])
    answers = [_answer(tool, graph, form, image, expected, variant.delegate) for image in subject.images]
    if variant.delegate != "cpu":
        accepted = families.accepted(expected.format, expected.precision, variant.delegate)
    else:
        accepted = (LITERT_KERNELS,) if partitions == 0 else (XNNPACK, LITERT_KERNELS)
    return expected.compare(np.stack(answers), accepted)


def _answer(tool: Tool, graph: str, form: "_Form", image: np.ndarray, expected: Expected, delegate: str) -> np.ndarray:
    output = f"{RUN}/output.bin"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.bin"
        path.write_bytes(form.encoded(image))
        remote = tool.session.store(path)
    shape = ",".join(map(str, (1, *image.shape)))
    tool.run(
        graph,
        1,
        delegate,
        input_layer="image",
        input_layer_shape=shape,
        input_layer_value_files=f"image:{remote}",
        output_filepath=output,
        num_runs=1,
        min_secs=0,
        warmup_runs=1,
        warmup_min_secs=0,
    )
    tool.session.phone.shell(f"rm -f {remote}")
    content = _fetched(tool.session.phone, output) or b""
    answer = form.decoded(content)
    if answer.shape != (expected.classes,):
        raise RequestError(f"{tool.path.name} wrote {len(content)} bytes of output to a golden image. Measure again.")
    return answer


class _Form:
    """How a file takes images and gives answers: its types and scales."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._input, self._output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def encoded(self, image: np.ndarray) -> bytes:
        """Returns the input tensor's bytes for raw RGB, uint8 [S, S, 3]."""
        scale, zero_point = self._input["quantization"]
        pixels = np.clip(np.rint(image / np.float32(scale)) + zero_point, 0, 255) if scale else image
        return pixels.astype(self._input["dtype"]).tobytes()

    def decoded(self, content: bytes) -> np.ndarray:
        """Returns float32 [classes] from the output tensor's bytes; empty where they are no whole numbers."""
        dtype = np.dtype(self._output["dtype"])
        if len(content) % dtype.itemsize:
            return np.zeros(0, np.float32)
        values = np.frombuffer(content, dtype).astype(np.float32)
        scale, zero_point = self._output["quantization"]
        return (values - zero_point) * np.float32(scale) if scale else values


def _profile(tool: Tool, graph: str, path: Path) -> None:
    """Writes the times of the operators, in a run of its own: telling them costs time."""
    table = f"{RUN}/profile.csv"
    tool.run(
        graph,
        1,
        "cpu",
        enable_op_profiling="true",
        op_profiling_output_mode="csv",
        op_profiling_output_file=table,
        num_runs=20,
    )
    text = (_fetched(tool.session.phone, table) or b"").decode(errors="replace")
    benchmark_model.read_profile(text)
    files.write_text(path, text)


def _result(
    tool: Tool,
    device: Device,
    subject: Subject,
    variant: _Variant,
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


def _check_binary(binary: Path) -> None:
    try:
        with binary.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise RequestError(f"Cannot read {binary}: {error.strerror}. Name a benchmark_model binary.") from None
    if head.startswith(b"#!"):
        return
    if not head.startswith(_AARCH64_ELF) or head[_MACHINE] != _AARCH64:
        raise RequestError(f"{binary} is no program for Android on ARM64. Take benchmark_model for android_arm64.")


def _failed(phone: Phone, binary: Path, log: str, error: ChildError) -> RequestError:
    try:
        benchmark_model.read_log(log)
    except RequestError as told:
        return RequestError(f"{told} ({binary.name} ended with code {error.code} on {phone.serial}.)")
    return RequestError(
        f"{binary.name} ended with code {error.code} on {phone.serial} after it had measured. Try again."
    )
