"""Measures with our app (tools/android), where it is installed on the device.

The app reads a bundle from its own folder on shared storage and leaves results.json there, then status.json.
"""

import json
import shlex
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import Any

from tfkd.bench import results, statistics
from tfkd.bench.android_adb import Phone
from tfkd.bench.driver import Options, Say
from tfkd.bench.results import Result
from tfkd.bench.subject import Subject
from tfkd.errors import RequestError

PACKAGE = "org.tfkd.bench"
FOLDER = f"/sdcard/Android/data/{PACKAGE}/files"
_BUNDLE = f"{FOLDER}/bundle"
_POLLING = 1.0  # seconds
_SECONDS_A_RUN = 0.5  # of the slowest file on the slowest delegate, at most


def installed(phone: Phone) -> bool:
    """Tells whether the app is on the device."""
    return phone.shell(f"pm path {PACKAGE} 2>/dev/null; true").startswith("package:")


def measure(phone: Phone, subject: Subject, options: Options, progress: Say) -> list[Result]:
    """Copies the bundle to the app, starts it, and fetches its results.

    Args:
        phone: a device with the app.
        subject: files of one bundle.
        options: how often.
        progress: receives a line about what is being done.

    Returns:
        For every file one result a number of threads and delegate.

    Raises:
        RequestError: the files are of no bundle, the app failed or does not end, or the device is gone.
    """
    folder = _bundle(subject)
    try:
        phone.shell(f"am force-stop {PACKAGE}; rm -rf {_BUNDLE}; mkdir -p {_BUNDLE}; rm -f {FOLDER}/*.json")
        progress(f"copying {len(subject.paths)} files to the app on {phone.serial}")
        _copy(phone, folder, subject)
        progress(f"the app measures on {phone.serial}")
        phone.shell(f"am start -W -n {PACKAGE}/.MainActivity {_extras(options)}")
        _wait(phone, options, len(subject.paths))
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "results.json"
            phone.pull(f"{FOLDER}/results.json", path)
            found = results.read(path)
    finally:
        if phone.state() == "device":
            phone.shell(f"am force-stop {PACKAGE}; rm -rf {_BUNDLE} {FOLDER}/*.json")
    return [_ours(each, subject) for each in found]


def _bundle(subject: Subject) -> Path:
    """Returns the folder of the bundle that the files belong to."""
    for name, path in subject.paths.items():
        depth = len(PurePosixPath(name).parts)
        if len(path.parents) >= depth and (path.parents[depth - 1] / "manifest.json").is_file():
            return path.parents[depth - 1]
    raise RequestError("The app measures bundles only, and these files are of none. Make one with tfkd run.")


def _copy(phone: Phone, folder: Path, subject: Subject) -> None:
    """Copies the files to measure, the golden images, and a manifest that names these files alone."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["artifacts"] = [each for each in manifest["artifacts"] if each["path"] in subject.paths]
    sent = {PurePosixPath(name): path for name, path in subject.paths.items()}
    sent |= {PurePosixPath("golden", path.name): path for path in sorted((folder / "golden").iterdir())}
    phone.shell(f"mkdir -p {' '.join(sorted({shlex.quote(f'{_BUNDLE}/{name.parent}') for name in sent}))}")
    for name, path in sent.items():
        phone.push(path, f"{_BUNDLE}/{name}")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "manifest.json"
        path.write_text(json.dumps(manifest), encoding="utf-8")
        phone.push(path, f"{_BUNDLE}/manifest.json")


def _extras(options: Options) -> str:
    texts = {
        "bundle": _BUNDLE,
        "runs": str(options.runs),
        "warmup": str(options.warmup),
        "threads": ",".join(map(str, options.threads)),
    }
    return "--ez start true " + " ".join(f"--es {name} {text}" for name, text in texts.items())


def _wait(phone: Phone, options: Options, count: int) -> None:
    """Waits for status.json, as long as the app lives."""
    work = count * len(options.threads) * (options.runs + options.warmup) * _SECONDS_A_RUN
    end = time.monotonic() + options.patience + work
    while time.monotonic() < end:
        said = phone.shell(
            f"cat {FOLDER}/status.json 2>/dev/null || {{ pidof {PACKAGE} >/dev/null && echo alive; }}; true"
        )
        if said.strip().startswith("{"):
            _check(_status(said), phone)
            return
        if not said.strip():
            raise RequestError(f"The app ended without results on {phone.serial}. See `adb logcat -s AndroidRuntime`.")
        time.sleep(_POLLING)
    raise RequestError(
        f"The app did not end within {options.patience + work:.0f} seconds on {phone.serial}. Measure less."
    )


def _status(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RequestError(f"The app's status.json is damaged: {text.strip()[:100]!r}. Measure again.")
    return found


def _check(status: dict[str, Any], phone: Phone) -> None:
    if status.get("state") != "done":
        raise RequestError(f"The app failed on {phone.serial}: {' '.join(str(status.get('error')).split())[:300]}")


def _ours(result: Result, subject: Subject) -> Result:
    """Returns the result, its summary completed, if it is of a file that was sent.

    Raises:
        RequestError: it is of another one.
    """
    if subject.artifacts.get(result.artifact.path) != result.artifact:
        raise RequestError(f"The app measured {result.artifact.path}, which it was not given. Measure again.")
    return statistics.summarised(subject.rejudged(result))
