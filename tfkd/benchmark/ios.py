"""Latency on an iPhone or iPad: what the app in tools/ios wrote, fetched from the device or read from a file.

`ios` is the device that is connected, `ios:NAME` or `ios:UDID` one of several: these need a Mac with Xcode, whose
`devicectl` pushes the files, starts the app and fetches its results. `ios:FILE.json` are results that were fetched
otherwise, on any machine. The app must be installed, signed by its user: tools/ios/README.md says how.
"""

import json
import os
import shutil
import statistics as numbers
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel, Field, ValidationError

from tfkd import files
from tfkd.benchmark import driver, gates, programs, statistics
from tfkd.benchmark.driver import Listener
from tfkd.benchmark.options import IosOptions, require_read
from tfkd.benchmark.programs import ChildError, completed
from tfkd.benchmark.subject import BenchSubject
from tfkd.bundle import results
from tfkd.bundle.results import Device, File, Result, Runtime, Skipped
from tfkd.errors import MachineError, RequestError, first_fault, nearest
from tfkd.progress import Say

FORMATS = ("mlmodel", "mlpackage")
LIMITS = gates.TIMES | {"max_memory_mb"}
APP = "org.tfkd.bench"
"""The app's identifier; whoever signs it under another one names that in $TFKD_IOS_APP."""
ENVIRONMENT = {"TFKD_BENCH": "run"}
"""Tells the app to measure at once and then to end."""

UNITS = {
    "CPU_ONLY": "cpuOnly",
    "CPU_AND_GPU": "cpuAndGPU",
    "CPU_AND_NE": "cpuAndNeuralEngine",
    "ALL": "all",
}
"""coremltools' names of compute units to those of Core ML, which results have."""

_ASKING = 60.0  # seconds
_SETUP = "tools/ios/README.md says how."

Answer = TypeVar("Answer", bound=BaseModel)


class Measurement(Protocol):
    """What coremltools' MLModelBenchmarker returns."""

    samples: list[float]


def check(address: str, options: IosOptions) -> None:
    """Finds the device or the file of results, without measuring.

    Raises:
        RequestError: there is no Mac, or no such file.
        MachineError: there is no device within reach.
    """
    stored = _stored(address)
    if stored is None:
        _found(address)
    else:
        results.read(stored)


def bench(
    address: str,
    subject: BenchSubject,
    options: IosOptions,
    progress: Say | None = None,
    listener: Listener = driver.DEAF,
) -> list[Result]:
    """Measures Core ML files on a device, or reads what was measured.

    Args:
        address: empty, the device's name, UDID or identifier, or the path of a JSON file of results.
        subject: .mlmodel and .mlpackage files of a bundle.
        options: how often; threads are Core ML's own choice.
        progress: receives a line about what is being done.
        listener: hears of the device before anything is timed, and of what a choice of compute units did not take.

    Returns:
        For every file one result a choice of compute units.

    Raises:
        RequestError: there is no Mac or app, the app could not measure, or the results are of other files.
        MachineError: there is no device within reach, or it does not answer.
    """
    stored = _stored(address)
    if stored is not None:
        require_read(options, (), "results that are read from a file")
        listener.on_stored()
        return from_file(stored, subject)
    device = _found(address)
    if device.hardware.product:
        listener.on_device(device.described, ())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _push(device, subject, options, folder)
        _launch(device, options.patience, progress)
        _copy_from(device, "status.json", folder)
        status = _parsed(folder / "status.json", _IosStatus)
        if status.state == "failed":
            raise RequestError(f"The app on {device.name} could not measure: {status.error}. Repair that, try again.")
        for each in status.skipped:
            listener.on_skipped(Skipped(**each.model_dump()))
        _copy_from(device, "results.json", folder)
        return from_file(folder / "results.json", subject)


def _found(address: str) -> "_AppleDevice":
    """Returns the connected device that an address names."""
    if shutil.which("xcrun") is None:
        raise RequestError(
            "The target ios needs a Mac with Xcode. On this machine, run the app by hand and read what it wrote: "
            f"--target ios:results.json; {_SETUP}"
        )
    return _select_device(_listed(), address)


def _stored(address: str) -> Path | None:
    """Returns the file of results that an address names; None where it names a device."""
    path = Path(address)
    return path if path.suffix == ".json" else None


def from_file(path: Path, subject: BenchSubject) -> list[Result]:
    """Reads results of the app, and completes the summary of their samples.

    Raises:
        RequestError: the file cannot be read, or holds results of other files than the subject's.
    """
    found = results.read(path)
    if not found:
        raise RequestError(f"{path} holds no results. Measure again.")
    for result in found:
        if result.target != "ios":
            raise RequestError(f"{path} holds results of the target {result.target}, not of ios. Name another file.")
        if result.artifact.path in subject.artifacts and result.artifact != subject.artifacts[result.artifact.path]:
            raise RequestError(f"{path} measured another {result.artifact.path} than the bundle's. Measure it again.")
    ours = [result for result in found if result.artifact.path in subject.artifacts]
    known = [statistics.summarised(subject.rejudged(result)) for result in ours]
    if not known:
        others = sorted({result.artifact.path for result in found})
        raise RequestError(f"{path} measured none of the bundle's files, but {', '.join(others)}. Measure them again.")
    return known


def of_benchmarker(
    predicted: Measurement,
    artifact: File,
    device: Device,
    compute_units: str,
    loaded: Measurement | None = None,
    warmup: bool = False,
) -> Result:
    """Converts what coremltools' MLModelBenchmarker measured of one file.

    Args:
        predicted: from `benchmark_predict`; its samples are milliseconds.
        artifact: the file.
        device: where it ran; its `os` identifies the version of Core ML.
        compute_units: name of the coremltools.ComputeUnit, as CPU_AND_NE.
        loaded: from `benchmark_load`.
        warmup: whether `benchmark_predict` warmed up, which takes one inference.

    Raises:
        RequestError: there are no samples, or no such compute units.
    """
    if compute_units not in UNITS:
        raise RequestError(f"There are no compute units {compute_units!r}.{nearest(compute_units, list(UNITS))}")
    if not predicted.samples:
        raise RequestError(f"MLModelBenchmarker has no samples of {artifact.path}. Measure it with iterations.")
    return Result(
        target="ios",
        device=device,
        runtime=Runtime(name="Core ML", version=device.os),
        delegate=UNITS[compute_units],
        artifact=artifact,
        warmup=int(warmup),
        runs=len(predicted.samples),
        samples_ms=predicted.samples,
        latency_ms=statistics.summary(predicted.samples),
        init_ms=numbers.median(loaded.samples) if loaded and loaded.samples else None,
        emulated=False,
        rung="device",
    )


class _AppleDevice(BaseModel):
    """What `devicectl list devices` says of a device; nothing else of it is read."""

    class Hardware(BaseModel):
        platform: str = ""
        udid: str = ""
        product: str = Field("", alias="productType")

    class Connection(BaseModel):
        pairing: str = Field("", alias="pairingState")
        tunnel: str = Field("", alias="tunnelState")

    class Properties(BaseModel):
        name: str = ""
        system: str = Field("", alias="osVersionNumber")

    identifier: str
    hardware: Hardware = Field(Hardware(), alias="hardwareProperties")
    connection: Connection = Field(Connection(), alias="connectionProperties")
    properties: Properties = Field(Properties(), alias="deviceProperties")

    @property
    def name(self) -> str:
        return self.properties.name or self.identifier

    @property
    def described(self) -> Device:
        """In the words of the app's results."""
        product, system = self.hardware.product, self.properties.system
        return Device(maker="Apple", model=product, os=f"iOS {system}", abi="arm64")

    @property
    def usable(self) -> bool:
        within_reach = self.connection.pairing == "paired" and self.connection.tunnel != "unavailable"
        return within_reach and self.hardware.platform in ("iOS", "iPadOS")


class _DeviceListing(BaseModel):
    class Devices(BaseModel):
        devices: list[_AppleDevice]

    result: Devices


class _AppSkipped(BaseModel):
    path: str
    delegate: str
    reason: str


class _IosStatus(BaseModel):
    """The app's status.json."""

    state: Literal["done", "failed"]
    error: str | None = None
    skipped: list[_AppSkipped] = []


def _listed() -> list[_AppleDevice]:
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "devices.json"
        _devicectl(["list", "devices", "--json-output", str(listing)], _ASKING)
        return [phone for phone in _parsed(listing, _DeviceListing).result.devices if phone.usable]


def _select_device(phones: list[_AppleDevice], address: str) -> _AppleDevice:
    names = ", ".join(f"{phone.name} ({phone.hardware.udid})" for phone in phones)
    if not phones:
        raise MachineError("No iPhone or iPad is within reach. Connect one, unlock it, trust this Mac, and pair it.")
    if not address:
        if len(phones) > 1:
            raise RequestError(f"Several devices are connected: {names}. Choose with --target ios:UDID.")
        return phones[0]
    matching = [phone for phone in phones if address in (phone.name, phone.hardware.udid, phone.identifier)]
    if len(matching) != 1:
        raise RequestError(f"{len(matching)} devices are called {address}. There are {names}.")
    return matching[0]


def _push(device: _AppleDevice, subject: BenchSubject, options: IosOptions, folder: Path) -> None:
    """Copies the chosen files, with as much of the bundle around them as the app reads."""
    bundle = _bundle_of(subject)
    staged = folder / "bundle"
    shutil.copytree(bundle / "golden", staged / "golden")
    for name, path in subject.paths.items():
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, staged / name)
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    artifacts = [entry for entry in manifest["artifacts"] if entry["path"] in subject.paths]
    files.write_json(staged / "manifest.json", {"artifacts": artifacts})
    files.write_json(folder / "parameters.json", {"runs": options.runs, "warmup": options.warmup})
    size = sum(path.stat().st_size for path in staged.rglob("*") if path.is_file())
    # At a megabyte per second, with the patience on top.
    limit = options.patience + size / 1e6
    for name in ("bundle", "parameters.json"):
        _devicectl(["device", "copy", "to", *_place(device, str(folder / name), f"Documents/{name}")], limit, device)


def _bundle_of(subject: BenchSubject) -> Path:
    name, path = next(iter(subject.paths.items()))
    folder = path.parents[len(Path(name).parts) - 1]
    if not (folder / "manifest.json").is_file():
        raise RequestError(f"{path} is not in a bundle. The target ios measures the files of a bundle.")
    return folder


def _launch(device: _AppleDevice, patience: float, progress: Say | None) -> None:
    command = [
        *("xcrun", "devicectl", "device", "process", "launch", "--console", "--terminate-existing"),
        *("--device", device.identifier, "--environment-variables", json.dumps(ENVIRONMENT), _app()),
    ]
    try:
        for line in programs.spoken(command, "", patience):
            if progress is not None:
                progress(line.strip())
    except ChildError as error:
        raise _refused(device, error.last_line) from None


def _copy_from(device: _AppleDevice, name: str, folder: Path) -> None:
    _devicectl(["device", "copy", "from", *_place(device, f"Documents/{name}", str(folder / name))], _ASKING, device)


def _place(device: _AppleDevice, source: str, destination: str) -> list[str]:
    return [
        *("--device", device.identifier, "--domain-type", "appDataContainer", "--domain-identifier", _app()),
        *("--source", source, "--destination", destination),
    ]


def _app() -> str:
    return os.environ.get("TFKD_IOS_APP") or APP


def _devicectl(arguments: Sequence[str], limit: float, device: _AppleDevice | None = None) -> None:
    command = ["xcrun", "devicectl", *arguments]
    try:
        done = completed(command, limit)
    except subprocess.TimeoutExpired:
        raise MachineError(f"devicectl did not finish within {limit:.0f} seconds. Unlock the device.") from None
    except OSError as error:
        raise RequestError(f"Cannot start xcrun: {error.strerror}. Install Xcode 15 or newer.") from None
    if done.returncode != 0:
        raise _refused(device, ChildError(done.returncode, done.stderr).last_line)


def _refused(device: _AppleDevice | None, reason: str) -> RequestError:
    where = "" if device is None else f" on {device.name}"
    return RequestError(
        f"devicectl failed{where}: {' '.join(reason.split())} "
        f"See that the device is unlocked and the app is installed; {_SETUP}"
    )


def _parsed(path: Path, kind: type[Answer]) -> Answer:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RequestError(f"devicectl gave no {path.name}: {error.strerror}. Try again.") from None
    except ValidationError as error:
        raise RequestError(f"{path.name} is not what it should be: {first_fault(error)}. Try again.") from None
