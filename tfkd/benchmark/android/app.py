"""Measures with our app (tools/android), where it is installed on the device.

The bundle goes to our folder in /data/local/tmp, which apps may read. The app leaves status.json and results.json in
its own folder, which `run-as` opens for a debug build: adb cannot rely on apps' shared storage (Android 11 and newer).
"""

import json
import shlex
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ValidationError

from tfkd.benchmark import statistics
from tfkd.benchmark.android.adb import ANSWERING, Phone
from tfkd.benchmark.android.session import RUN, PhoneJob, Session
from tfkd.benchmark.options import DELEGATES, AndroidOptions
from tfkd.benchmark.subject import BenchSubject
from tfkd.bundle import results
from tfkd.bundle.results import Result, Skipped
from tfkd.errors import MachineError, RequestError, TfkdError, first_fault

PACKAGE = "org.tfkd.bench"
READS = frozenset({"runs", "warmup", "threads", "patience", "delegate", "cooling", "keep"})
RESULTS = "files/tfkd-bench"  # in the app's own folder
BUNDLE = f"{RUN}/bundle"
_POLLING = 1.0  # seconds
_READING = 60.0  # seconds for results of many samples


class _AndroidStatus(BaseModel):
    """The app's status.json; `doing` changes about once a second while it is running."""

    state: Literal["running", "done", "failed"]
    doing: str = ""
    error: str | None = None
    skipped: list[Skipped] = []


def installed(phone: Phone) -> bool:
    """Tells whether the app is on the device."""
    return phone.shell(f"pm path {PACKAGE} 2>/dev/null; true").startswith("package:")


def measure(ready: Session, job: PhoneJob) -> list[Result]:
    """Copies the bundle to the device, starts the app, and fetches its results.

    Args:
        ready: a device with the app.
        job: files of one bundle, how often, and who hears of it.

    Returns:
        For every file one result a number of threads and delegate.

    Raises:
        RequestError: the files are of no bundle, the app is no debug build, or it failed.
        MachineError: the app gave no sign of life for too long, or the device is gone.
    """
    phone, subject = job.phone, job.subject
    folder, own = _bundle(subject), _own_folder(phone)
    try:
        phone.shell(f"am force-stop {PACKAGE}; {_as_app(f'rm -rf {RESULTS}; mkdir -p {RESULTS}')}")
        job.say(f"copying {len(subject.paths)} files for the app on {phone.serial}")
        _copy(ready, folder, subject)
        job.say(f"the app measures on {phone.serial}")
        phone.shell(f"am start -W -n {PACKAGE}/.MainActivity {_extras(job.options, f'{own}/{RESULTS}')}")
        for skipped in _waited(job).skipped:
            job.listener.on_skipped(skipped)
        found = results.parse(phone.shell(_as_app(f"cat {RESULTS}/results.json"), _READING), "the app's results.json")
    finally:
        if phone.state() == "device":
            phone.shell(f"am force-stop {PACKAGE}; {_as_app(f'rm -rf {RESULTS}')}; true")
    return [_ours(each, subject) for each in found]


def _as_app(script: str) -> str:
    return f"run-as {PACKAGE} sh -c {shlex.quote(script)}"


def _own_folder(phone: Phone) -> str:
    """Returns the app's own folder on the device."""
    try:
        return phone.shell(_as_app("pwd")).strip()
    except MachineError:
        raise
    except TfkdError as error:
        raise RequestError(f"{error}. Install the debug build of the app (tools/android/README.md).") from None


def _bundle(subject: BenchSubject) -> Path:
    """Returns the folder of the bundle that the files belong to."""
    for name, path in subject.paths.items():
        depth = len(PurePosixPath(name).parts)
        if len(path.parents) >= depth and (path.parents[depth - 1] / "manifest.json").is_file():
            return path.parents[depth - 1]
    raise RequestError("The app measures bundles only, and these files are of none. Make one with tfkd run.")


def _copy(ready: Session, folder: Path, subject: BenchSubject) -> None:
    """Copies the files to measure, the golden images, and a manifest that names these files alone."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["artifacts"] = [each for each in manifest["artifacts"] if each["path"] in subject.paths]
    sent = {PurePosixPath(name): path for name, path in subject.paths.items()}
    sent |= {PurePosixPath("golden", path.name): path for path in sorted((folder / "golden").iterdir())}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "manifest.json"
        path.write_text(json.dumps(manifest), encoding="utf-8")
        stored = {name: ready.store(path) for name, path in {**sent, PurePosixPath("manifest.json"): path}.items()}
    folders = sorted({shlex.quote(f"{BUNDLE}/{name.parent}") for name in stored})
    links = [f"ln -sf {remote} {shlex.quote(f'{BUNDLE}/{name}')}" for name, remote in stored.items()]
    ready.phone.shell(f"mkdir -p {' '.join(folders)} && {' && '.join(links)}")
    ready.phone.shell(f"chmod -R a+rX {BUNDLE} {' '.join(stored.values())}")


def _extras(options: AndroidOptions, folder: str) -> str:
    texts = {
        "bundle": BUNDLE,
        "results": folder,
        "runs": str(options.runs),
        "warmup": str(options.warmup),
        "threads": ",".join(map(str, options.threads)),
        "delegates": ",".join(options.delegate or DELEGATES),
    }
    return "--ez start true " + " ".join(f"--es {name} {shlex.quote(text)}" for name, text in texts.items())


def _waited(job: PhoneJob) -> _AndroidStatus:
    """Waits until the app is done, as long as what it is doing changes."""
    phone, patience = job.phone, job.options.patience
    last, alive = "", time.monotonic()
    script = f"{_as_app(f'cat {RESULTS}/status.json 2>/dev/null')} || {{ pidof {PACKAGE} >/dev/null && echo alive; }}"
    while time.monotonic() - alive < patience:
        output = phone.shell(f"{script}; true", ANSWERING).strip()
        if not output:
            raise RequestError(f"The app ended without results on {phone.serial}. See `adb logcat -s AndroidRuntime`.")
        if output != last:
            last, alive = output, time.monotonic()
        if output.startswith("{"):
            status = _status(output)
            if status.state == "failed":
                reason = " ".join(str(status.error).split())
                raise RequestError(f"The app failed on {phone.serial}: {reason[:300]}")
            if status.state == "done":
                return status
        time.sleep(_POLLING)
    raise MachineError(
        f"The app on {phone.serial} gave no sign of life for {patience:g} seconds and was ended. Measure again; "
        "install the app again if it is of another version than tfkd."
    )


def _status(text: str) -> _AndroidStatus:
    try:
        return _AndroidStatus.model_validate_json(text)
    except ValidationError as error:
        raise RequestError(f"The app's status.json is damaged: {first_fault(error)}. Measure again.") from None


def _ours(result: Result, subject: BenchSubject) -> Result:
    """Returns the result, its summary completed, if it is of a file that was sent.

    Raises:
        RequestError: it is of another one.
    """
    if subject.artifacts.get(result.artifact.path) != result.artifact:
        raise RequestError(f"The app measured {result.artifact.path}, which it was not given. Measure again.")
    return statistics.summarised(subject.rejudged(result))
