"""What the work of a stage has cost: an account in its folder, of every call that worked on it, also of killed ones.

`spent.json` holds the seconds and the processor seconds of each call, and is written every few seconds. It is in no
fingerprint, and is not among the files that a stage must have. Where it is missing or damaged although somebody has
worked in the folder, what the stage has cost is not known.

Seconds are those of the machine: while stages run side by side, each is given a part of them, in proportion to its
processor time, so that the seconds of all stages add up to the time of the run.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.errors import TfkdError
from tfkd.files import read_sealed, write_sealed
from tfkd.pipeline.stage_files import SPENT
from tfkd.processes import processor_seconds, reported_seconds

INTERVAL = 10.0  # seconds between two entries: what the account of a killed call may lack


@dataclass(frozen=True)
class Spending:
    """What some work has cost.

    Attributes:
        seconds: of this machine.
        processor_seconds: of all threads of all processes.
    """

    seconds: float = 0.0
    processor_seconds: float = 0.0

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(self.seconds + other.seconds, self.processor_seconds + other.processor_seconds)


@dataclass
class _Present:
    """The name of the present call in accounts, and its meters, of which the last one runs."""

    call: str
    meters: "list[Meter]"


_PRESENT = _Present(secrets.token_hex(8), [])


def begin_call() -> None:
    """Begins a call of a command, whose costs are told from those of earlier calls."""
    _PRESENT.call = secrets.token_hex(8)


def open_account(folder: Path, is_new: bool) -> None:
    """Makes sure that the folder of a stage has an account.

    Args:
        folder: the folder.
        is_new: whether nobody has worked in it yet; if somebody has and the account is lost, the new one says so.
    """
    if read_sealed(folder / SPENT) is None:
        write_sealed(folder / SPENT, {"complete": is_new, "calls": {}})


def spent(folder: Path) -> Spending | None:
    """Returns what all calls have spent in the folder of a stage; None where that is not known."""
    account = read_sealed(folder / SPENT)
    if account is None or not account["complete"] or not account["calls"]:
        return None
    return sum((Spending(**each) for each in account["calls"].values()), Spending())


def spent_in_this_call(folder: Path) -> Spending | None:
    """Returns what the present call has spent in the folder of a stage; None where it has not worked there."""
    account = read_sealed(folder / SPENT)
    found = account["calls"].get(_PRESENT.call) if account else None
    return Spending(**found) if found else None


def add_accounts(folder: Path, others: Iterable[Path]) -> None:
    """Adds the accounts in other folders, of parts of its work, to the account in the folder of a stage."""
    account = read_sealed(folder / SPENT) or {"complete": False, "calls": {}}
    for other in others:
        part = read_sealed(other / SPENT) or {"complete": False, "calls": {}}
        account["complete"] &= part["complete"]
        account["calls"].update(part["calls"])
    write_sealed(folder / SPENT, account)


class Meter:
    """Measures the work on stages that run side by side; see `metered`.

    Args:
        folders: of the stages.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)
        self._lock = threading.Lock()
        self._paused, self._last = False, self._clocks()

    def note(self) -> None:
        """Adds what was spent since the last time to the accounts; nothing while the meter is paused."""
        with self._lock:
            if not self._paused:
                self._note()

    def finish(self, folder: Path) -> None:
        """Adds what was spent on a stage to its account, and measures only the others from now on."""
        self.note()
        with self._lock:
            self._folders.remove(folder)

    def pause(self) -> None:
        """Stops measuring: what follows is part of another stage."""
        self.note()
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """Measures again."""
        with self._lock:
            self._paused, self._last = False, self._clocks()

    def _clocks(self) -> tuple[float, float, dict[Path, float]]:
        """Returns the seconds of the machine, of all processes, and of those that work for each stage alone."""
        return time.perf_counter(), processor_seconds(), {folder: reported_seconds(folder) for folder in self._folders}

    def _note(self) -> None:
        before, self._last = self._last, self._clocks()
        own = {folder: seconds - before[2][folder] for folder, seconds in self._last[2].items()}
        reported = sum(own.values())
        seconds, common = self._last[0] - before[0], max(0.0, self._last[1] - before[1] - reported)
        for folder, mine in own.items():
            fraction = mine / reported if reported else 1 / len(own)
            _add(folder, Spending(fraction * seconds, mine + fraction * common))


def _add(folder: Path, spending: Spending) -> None:
    """Adds what the present call has spent to the account in a folder; a lost account stays lost."""
    if not folder.is_dir():
        return
    account: dict[str, Any] = read_sealed(folder / SPENT) or {"complete": False, "calls": {}}
    total = Spending(**account["calls"].get(_PRESENT.call, {})) + spending
    account["calls"][_PRESENT.call] = vars(total)
    with contextlib.suppress(TfkdError):  # a full disk ends the work itself, which says so
        write_sealed(folder / SPENT, account)


@contextlib.contextmanager
def metered(folders: Iterable[Path]) -> Iterator[Meter]:
    """Measures what a with-block spends on stages that run side by side, and keeps their accounts.

    A block within this one measures what it does alone: the work is counted once.

    Args:
        folders: of the stages; each has an account.
    """
    outer = _PRESENT.meters[-1] if _PRESENT.meters else None
    if outer:
        outer.pause()
    meter, ended = Meter(folders), threading.Event()

    def watch() -> None:
        while not ended.wait(INTERVAL):
            meter.note()

    thread = threading.Thread(target=watch, name="account", daemon=True)
    _PRESENT.meters.append(meter)
    thread.start()
    try:
        yield meter
    finally:
        ended.set()
        thread.join()
        meter.note()
        _PRESENT.meters.remove(meter)
        if outer:
            outer.resume()
