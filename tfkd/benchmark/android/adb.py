"""Android devices through adb: which one is meant, commands, files, and what went wrong in words.

Every call of adb has a limit in seconds. What adb or the device says of a failure is read in one place, `explained`,
which also checks whether the device is still there: a pulled cable causes many different errors.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfkd.benchmark.programs import ChildError, completed
from tfkd.errors import MachineError, RequestError, TfkdError, nearest

ANSWERING = 20.0  # seconds for what needs no work
SLOWEST_LINK = 1e6  # bytes per second
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\[\]-]*")
_STATES = {
    "unauthorized": "has not allowed this computer. Unlock it, accept the question on its screen",
    "authorizing": "has not allowed this computer yet. Unlock it, accept the question on its screen",
    "offline": "does not answer. Plug it in again, or restart it",
    "recovery": "is in recovery. Start Android",
    "sideload": "is in recovery. Start Android",
    "bootloader": "is in its bootloader. Start Android",
    "no permissions": "may not be used by this user. Install the package android-sdk-platform-tools-common",
}


@dataclass(frozen=True)
class Phone:
    """A device that adb reaches.

    Attributes:
        adb: the program.
        serial: by which adb knows the device.
    """

    adb: str
    serial: str

    def command(self, *arguments: str) -> list[str]:
        """Returns the arguments of a call of adb for this device."""
        return [self.adb, "-s", self.serial, *arguments]

    def shell(self, script: str, limit: float = ANSWERING) -> str:
        """Runs a script in the device's shell and returns what it writes to stdout.

        Raises:
            RequestError: it failed.
            MachineError: the device did.
        """
        done = _run(self.command("shell", "-T", script), limit)
        if done.returncode != 0:
            raise explained(self, done.stderr or done.stdout, f"`{script[:60]}` ended with code {done.returncode}")
        return done.stdout

    def push(self, path: Path, remote: str, limit: float = ANSWERING) -> None:
        """Copies a file to the device, under another name until it is whole there.

        Args:
            path: of the file.
            remote: path on the device.
            limit: seconds on top of the time that SLOWEST_LINK needs.

        Raises:
            MachineError: the device is full or gone.
        """
        limit += path.stat().st_size / SLOWEST_LINK
        done = _run(self.command("push", str(path), f"{remote}.partial"), limit)
        if done.returncode != 0:
            raise explained(self, done.stderr or done.stdout, f"{path.name} could not be copied")
        self.shell(f"mv {shlex.quote(remote)}.partial {shlex.quote(remote)}")

    def pull(self, remote: str, path: Path, limit: float = ANSWERING) -> None:
        """Copies a file from the device.

        Raises:
            RequestError: it is not there.
            MachineError: the device is gone.
        """
        done = _run(self.command("pull", remote, str(path)), limit)
        if done.returncode != 0:
            raise explained(self, done.stderr or done.stdout, f"{remote} could not be fetched")

    def state(self) -> str | None:
        """Returns the device's state in adb's word; None where adb does not know it."""
        return dict(attached(self.adb)).get(self.serial)

    def returns(self, limit: float) -> bool:
        """Waits for a disconnected device and returns whether it is connected again in time."""
        try:
            return _run(self.command("wait-for-device"), limit).returncode == 0
        except TfkdError:
            return False


def select_phone(serial: str) -> Phone:
    """Returns the device that is meant.

    Args:
        serial: of one of several; empty for the only one.

    Raises:
        RequestError: there are several.
        MachineError: there is none, or it cannot be used; says what to do.
    """
    adb = program()
    devices = dict(attached(adb))
    if serial and not _SERIAL.fullmatch(serial):
        raise RequestError(f"{serial!r} is no serial number. `adb devices` lists them.")
    if serial and serial not in devices:
        raise MachineError(f"adb knows no device {serial}.{nearest(serial, list(devices)) if devices else ''}")
    if not devices:
        raise MachineError("No Android device is attached. Plug one in, and allow USB debugging in its settings.")
    if not serial and len(devices) > 1:
        known = ", ".join(devices)
        raise RequestError(
            f"Several Android devices are attached: {known}. Name one: --target android:{next(iter(devices))}"
        )
    phone = Phone(adb, serial or next(iter(devices)))
    if (state := devices[phone.serial]) != "device":
        raise _unusable(phone, state)
    return phone


def program() -> str:
    """Returns adb: $ADB, that on the PATH, or that of the Android SDK.

    Raises:
        RequestError: there is none.
    """
    sdk = os.environ.get("ANDROID_HOME") or os.environ.get("ANDROID_SDK_ROOT")
    places = [os.environ.get("ADB"), "adb", str(Path(sdk) / "platform-tools" / "adb") if sdk else None]
    found = next(filter(None, (shutil.which(place) for place in places if place)), None)
    if found is None:
        raise RequestError("adb is not installed. Install Android's platform tools, or name adb in $ADB.")
    return found


def attached(adb: str) -> list[tuple[str, str]]:
    """Returns serial number and state of every device that adb knows.

    Raises:
        RequestError: adb does not work.
    """
    done = _run([adb, "devices"], ANSWERING)
    if done.returncode != 0:
        raise RequestError(f"adb does not work: {_last(done.stderr)}. See what `adb devices` says.")
    rows = (line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line)
    return [(serial, re.split(r"[;(]", state)[0].strip()) for serial, state in rows]


def explained(phone: Phone, log: str, what: str) -> TfkdError:
    """Returns the error that says what became of the device, or what failed on it.

    Args:
        phone: the device.
        log: what adb and the device wrote.
        what: went wrong, in words.
    """
    if "No space left" in log:
        return MachineError(f"{phone.serial} is full: {what}. Free some storage in /data, then measure again.")
    state = phone.state()
    if state in (None, "offline"):
        return MachineError(f"{phone.serial} was disconnected: {what}. Check the cable, then measure again.")
    if state is not None and state != "device":
        return _unusable(phone, state)
    if re.search(r"closed|protocol fault|connect failed|EOF|failed to read|not found|offline", log) or not log.strip():
        return MachineError(f"{phone.serial} broke the connection: {what}. Check the cable, then measure again.")
    return RequestError(f"{phone.serial}: {what}: {_last(log)}")


@contextlib.contextmanager
def connected(phone: Phone, what: str) -> Iterator[None]:
    """Says of whatever goes wrong in the block that the device is gone, where it is.

    The exit code of adb is not enough: a call whose device has gone can end with code zero.

    Args:
        phone: the device.
        what: goes on in the block, as "benchmark_model was interrupted".

    Raises:
        MachineError: the device is gone.
    """
    try:
        yield
    except (TfkdError, ChildError):
        if _run(phone.command("shell", "-T", "echo here"), ANSWERING).stdout.strip() != "here":
            raise explained(phone, "closed", what) from None
        raise


def _unusable(phone: Phone, state: str) -> MachineError:
    advice = _STATES.get(state, f"is in the state {state!r}. Start Android")
    return MachineError(f"{phone.serial} {advice}, then measure again.")


def _run(command: list[str], limit: float) -> "subprocess.CompletedProcess[str]":
    try:
        return completed(command, limit)
    except subprocess.TimeoutExpired:
        words = " ".join(command[1:6])[:80]
        raise MachineError(
            f"`adb {words}` did not end within {limit:.0f} seconds. Check the cable; measure again."
        ) from None
    except OSError as error:
        raise RequestError(f"Cannot start {command[0]}: {error.strerror}. Install Android's platform tools.") from None


def _last(log: str) -> str:
    return next(iter(reversed(log.strip().splitlines())), "no message")[:300].rstrip(".")
