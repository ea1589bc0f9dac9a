"""A folder of ours on an Android device: files by their hash, commands on chosen cores, and nothing left behind.

/data/local/tmp/tfkd-bench/store/SHA256    what has been copied, under the hash of its content
/data/local/tmp/tfkd-bench/run/            this run's files, and `pid`, the process group of what runs

One run at a time has the device. The lock is that of the folder above ours, held by a shell whose stdin is this
process: whatever ends one of the two frees it, so that none is ever left behind.
"""

import contextlib
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfkd import files
from tfkd.benchmark.android.adb import ANSWERING, Phone, explained
from tfkd.benchmark.driver import Listener, busy
from tfkd.benchmark.options import AndroidOptions
from tfkd.benchmark.programs import ALIVE, standing
from tfkd.benchmark.subject import BenchSubject
from tfkd.errors import MachineError, TfkdError
from tfkd.progress import Say

SHARED = "/data/local/tmp"
FOLDER = f"{SHARED}/tfkd-bench"
STORE, RUN = f"{FOLDER}/store", f"{FOLDER}/run"
RETURNING = 30.0  # seconds in which a device that is gone may come back
_POLLING = 0.5  # seconds
_BOOT = "cat /proc/sys/kernel/random/boot_id"
_HASHING = 5e6  # bytes per second, on a slow device
# What an interrupted run left: its process group, then its files.
_STOP = f"p=$(cat {RUN}/pid 2>/dev/null) && kill -9 -$p 2>/dev/null; rm -rf {RUN}"
# Android before 8 has no flock, and lets every run in.
_LOCK = f"{{ flock -n 9 2>/dev/null; echo lock $? $$; cat >/dev/null; }} 9<{SHARED}"
_LOCKED = re.compile(r"lock (\d{1,3}) (\d{1,9})")
_LOCK_HELD = "1"


@dataclass(frozen=True)
class PhoneJob:
    """What is to be measured on a phone.

    Attributes:
        phone: the device.
        subject: the files.
        options: how to measure them.
        say: receives a line about what is being done.
        listener: hears of what a delegate did not take.
    """

    phone: Phone
    subject: BenchSubject
    options: AndroidOptions
    say: Say
    listener: Listener


@dataclass(frozen=True)
class Session:
    """A device on which our folder is ready.

    Attributes:
        phone: the device.
        cores: numbers of the cores to run on; empty for all.
    """

    phone: Phone
    cores: tuple[int, ...]

    def store(self, path: Path) -> str:
        """Copies a file to the device unless it is there already, and returns its path there.

        Raises:
            MachineError: the device is full or gone, or the copy differs.
        """
        digest = files.sha256(path)
        remote = f"{STORE}/{digest}"
        if not self._holds(remote, digest, path):
            self.phone.push(path, remote)
            if not self._holds(remote, digest, path):
                raise MachineError(
                    f"{path.name} is another file on {self.phone.serial}. Check the cable; measure again."
                )
        return remote

    def command(self, words: str, folder: str = RUN) -> list[str]:
        """Returns the arguments that run shell words on the device's chosen cores, so that `Session` can end them."""
        return self._started(f"exec {self._pinned}{words}", folder)

    def watched(self, words: str) -> list[str]:
        """Returns the arguments that run shell words likewise, for `programs.living`.

        Once per second a line reports the size of the program's output and its processor time (fields 14 and 15 of
        proc(5)'s stat); what it wrote comes at the end, so that no line of it is torn.
        """
        alive = f'echo "{ALIVE} $(wc -c < log) $(cut -d" " -f14,15 /proc/$p/stat)"'
        watch = f"(while sleep 1 >/dev/null; do {alive}; done) 2>/dev/null & w=$!"
        # Android's shell, mksh, drops a SIGTERM in a new subshell, and else acts on it only when `sleep` has ended.
        # It handles no SIGUSR1, which therefore ends whatever the watch was running.
        stop = "kill -9 $w; trap '' USR1; kill -USR1 -$$"
        end = f"wait $p; c=$?; {stop}; cat log; exit $c"
        return self._started(f"{self._pinned}{words} > log 2>&1 & p=$!; {watch}; {end}", RUN)

    @property
    def _pinned(self) -> str:
        return f"taskset {sum(1 << core for core in self.cores):x} " if self.cores else ""

    def _started(self, script: str, folder: str) -> list[str]:
        return self.phone.command("shell", "-T", f"cd {folder} && echo $$ > {RUN}/pid && {{ {script}; }}")

    def _holds(self, remote: str, digest: str, path: Path) -> bool:
        limit = ANSWERING + path.stat().st_size / _HASHING
        output = self.phone.shell(f"[ ! -f {remote} ] || sha256sum {shlex.quote(remote)}", limit)
        return output.startswith(digest)


@contextlib.contextmanager
def session(phone: Phone, cores: tuple[int, ...], keep: bool) -> Iterator[Session]:
    """Makes our folder, and removes it, with what still runs, however the block ends.

    Args:
        phone: the device.
        cores: numbers of the cores to run on; empty for all.
        keep: the files stay on the device for the next run.

    Raises:
        MachineError: another run has the device; or the device is gone, and did not come back for the cleaning.
    """
    clean = _STOP if keep else f"{_STOP}; rm -rf {FOLDER}"
    with _alone(phone) as holder:
        boot = phone.shell(_BOOT)
        phone.shell(f"{_STOP}; rm -f {STORE}/*.partial; umask 022; mkdir -p {STORE} {RUN}")
        try:
            yield Session(phone, cores)
        except BaseException as error:
            _clean_after(phone, holder, clean, boot, error)
            raise
        phone.shell(clean)


@contextlib.contextmanager
def _alone(phone: Phone) -> Iterator[str]:
    """Keeps other runs off a device; yields the process there that holds the lock.

    Raises:
        MachineError: another run has the lock, or the device is gone.
    """
    with standing(phone.command("shell", "-T", _LOCK), ANSWERING) as line:
        lock = _LOCKED.fullmatch(line)
        if lock is None:
            raise explained(phone, line, "its lock could not be taken")
        if lock[1] == _LOCK_HELD:
            raise busy(phone.serial)
        yield lock[2]


def _clean_after(phone: Phone, holder: str, clean: str, boot: str, error: BaseException) -> None:
    """Cleans a device that may be gone or that may have restarted.

    Raises:
        TfkdError: instead of a run's error, what it did not know: the device restarted, or our folder stays there.
    """
    try:
        restarted = _cleaned(phone, holder, clean, boot)
    except TfkdError:
        if isinstance(error, TfkdError):
            raise type(error)(f"{error} {FOLDER} stays on it until then.") from None
    else:
        if restarted and isinstance(error, TfkdError):
            raise MachineError(f"{phone.serial} restarted meanwhile. Let it start, then measure again.") from None


def _cleaned(phone: Phone, holder: str, clean: str, boot: str) -> bool:
    """Cleans a device as soon as it responds, and returns whether it has restarted.

    Raises:
        TfkdError: it does not respond in time, or another run uses it by now.
    """
    end = time.monotonic() + RETURNING
    while True:
        try:
            if phone.state() != "device" and not phone.returns(RETURNING):
                raise MachineError(f"{phone.serial} is gone.")
            restarted = phone.shell(_BOOT) != boot
            if not restarted:  # the lock may outlive the connection that held it
                phone.shell(f"kill -9 -{holder} 2>/dev/null; true")
            with _alone(phone):
                phone.shell(clean)
            return restarted
        except TfkdError:
            # A device that comes back can break off once more.
            if time.monotonic() >= end:
                raise
        time.sleep(_POLLING)
