"""The folder of a run: one process at a time, one sub-folder per stage, which is reused, resumed or recreated."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.errors import RequestError
from tfkd.files import fingerprint, read_sealed, write_sealed
from tfkd.pipeline.spending import begin_call, metered, open_account
from tfkd.pipeline.stage_files import BEGUN, DONE, damaged, is_begun, listed, note_times, remove_damaged_checkpoints
from tfkd.progress import Progress, Say

NAMED = 3  # inputs or files in a message


@dataclass(frozen=True)
class WorkResult:
    """The result of the work of a stage.

    Attributes:
        result: content of `stage.json`.
        seconds: time by its own measurement, including earlier calls that it continued; 0 if it has none.
    """

    result: dict[str, Any]
    seconds: float = 0.0


class Stage:
    """The folder of a stage, which is finished when `stage.json` belongs to the current inputs and its files exist.

    A folder named by the stage's base is one of several for different settings, of which only damaged files are ever
    removed. In any other folder, a stage with another base replaces the earlier one.

    Args:
        folder: folder of the stage's files.
        base: fingerprint of everything that its result depends on, except for `growing`.
        inputs: inputs of the fingerprint by name; stored, so that a later call can report which ones changed.
        product: noun for the stage's result.
        growing: inputs for which a result of larger values is valid, such as the number of views of a store.
        conditions: what must be equal to continue an unfinished stage, by name.
        name: name of the stage; default: that of its folder.
    """

    def __init__(
        self,
        folder: Path,
        base: str,
        inputs: Mapping[str, Any] | None = None,
        product: str = "result",
        growing: Mapping[str, int] | None = None,
        conditions: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        self.folder, self.base = folder, base
        self.growing = dict(growing or {})
        self.inputs = dict(inputs or {}) | self.growing
        self.product, self.conditions = product, dict(conditions or {})
        self.name = name or folder.name

    @property
    def fingerprint(self) -> str:
        """Fingerprint of everything that the stage's result depends on."""
        return fingerprint(self.base, self.growing) if self.growing else self.base

    def result(self) -> dict[str, Any] | None:
        """Returns the result of the finished stage, or None if it is unfinished or a file is damaged."""
        done = self._done()
        is_whole = done is not None and not damaged(self.folder, done["files"])
        result: dict[str, Any] | None = done["result"] if done and is_whole else None
        return result

    def outdated(self) -> str:
        """Returns which inputs changed since the most similar earlier result, in words; "" if none is known."""
        here = read_sealed(self.folder / BEGUN)
        earlier = [here] if here else [read_sealed(path) for path in self.folder.parent.glob(f"*/{BEGUN}")]
        differences = [changed(each["inputs"], self.inputs) for each in earlier if each and each["name"] == self.name]
        nearest = min(differences, key=len, default=[])
        return f"{some(nearest)} changed since the {self.product} was created" if nearest else ""

    def elsewhere(self) -> str:
        """Returns the conditions of the finished stage that differ from the current ones, in words."""
        found = (self._done() or {}).get("conditions", {})
        differing = [f"{name} {value}" for name, value in found.items() if value != self.conditions.get(name)]
        return f"created with {', '.join(differing)}" if differing else ""

    def other_environment(self) -> dict[str, str]:
        """Returns the libraries and processor of the finished stage that differ from the current ones."""
        here, recorded = machine.environment(), (self._done() or {}).get("environment", {})
        return {name: value for name, value in recorded.items() if here.get(name) != value}

    def seconds(self) -> float:
        """Returns how long the work of the finished stage took; 0 for an unfinished one."""
        return float((self._done() or {}).get("seconds", 0.0))

    def mend(self, say: Say, thorough: bool = False) -> None:
        """Removes damaged files of a finished stage, marks it as unfinished, and reports this in one line.

        Args:
            say: receives the line.
            thorough: compare all hashes, not only those of files whose size or time has changed.
        """
        path = self.folder / DONE
        if path.exists() and read_sealed(path) is None:
            say(f"{self.name}: {DONE} is damaged; recreated")
            self.reopen()
        done = self._done()
        if done is None:
            return
        wrong = damaged(self.folder, done["files"], thorough)
        if wrong:
            say(f"{self.name}: {some(wrong)} damaged or missing; recreated")
            for name in wrong:
                (self.folder / name).unlink(missing_ok=True)
            self.reopen()
        elif note_times(self.folder, done["files"]):
            write_sealed(path, done)

    def begin(self, say: Say = print) -> None:
        """Prepares the folder; keeps the files of an earlier call of the same stage if it can be continued.

        An unfinished stage with other conditions is moved to a sibling folder, and moved back under those conditions.
        """
        self.mend(say)
        begun = read_sealed(self.folder / BEGUN) or {}
        if self.folder.name != self.base and begun.get("base") != self.base:
            self.forget()
        elif self.conditions and begun.get("conditions") != self.conditions and is_begun(self.folder):
            self._set_aside(begun.get("conditions"), say)
        self.reopen()
        remove_damaged_checkpoints(self.folder, lambda path: say(f"{self.name}: {path} is damaged; recreated"))
        open_account(self.folder, is_new=not is_begun(self.folder))
        record = {"name": self.name, "base": self.base, "inputs": self.inputs, "conditions": self.conditions}
        write_sealed(self.folder / BEGUN, record)

    def forget(self) -> None:
        """Removes the stage's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def reopen(self) -> None:
        """Marks the stage as unfinished; its files stay."""
        (self.folder / DONE).unlink(missing_ok=True)

    def finish(self, result: dict[str, Any], seconds: float = 0.0) -> None:
        """Marks the stage as done.

        Args:
            result: what it gave.
            seconds: that it took.
        """
        done = {
            "base": self.base,
            "growing": self.growing,
            "conditions": self.conditions,
            "environment": machine.environment(),
            "seconds": seconds,
            "files": listed(self.folder),
            "result": result,
        }
        write_sealed(self.folder / DONE, done)

    def _done(self) -> dict[str, Any] | None:
        """Returns the content of `stage.json` if it belongs to the current inputs."""
        done: dict[str, Any] | None = read_sealed(self.folder / DONE)
        if done is None or done["base"] != self.base:
            return None
        return done if all(done["growing"].get(name, 0) >= value for name, value in self.growing.items()) else None

    def _set_aside(self, conditions: Mapping[str, str] | None, say: Say) -> None:
        reason = f"{BEGUN} is missing or damaged"
        if conditions is not None:
            reason = f"begun with other {some(changed(conditions, self.conditions))}"
        say(f"{self.name}: {reason}; recreated, and the unfinished one is kept")
        aside = _aside(self.folder, conditions or {})
        shutil.rmtree(aside, ignore_errors=True)
        self.folder.rename(aside)
        if (same := _aside(self.folder, self.conditions)).is_dir():
            same.rename(self.folder)


def conditions() -> dict[str, str]:
    """Returns what must be equal to continue an unfinished training, because the last digits depend on it."""
    return {**machine.libraries(), "cores": str(machine.cores())}


def _aside(folder: Path, conditions: Mapping[str, str]) -> Path:
    """Returns the sibling folder of an unfinished stage with these conditions."""
    return folder.with_name(f"{folder.name}~{fingerprint(dict(conditions))[:8]}")


def some(names: Iterable[str]) -> str:
    """Returns the first names of a list, and the number of the others."""
    names = list(names)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns the names of the inputs that differ; tuples equal lists, as in JSON."""
    now = json.loads(json.dumps(now))
    return [name for name in {**now, **before} if name not in now or name not in before or now[name] != before[name]]


def run_together(
    stages: list[Stage], work: Callable[[list[Stage]], list[WorkResult]], progress: Progress
) -> list[dict[str, Any]]:
    """Returns the results of stages that can run side by side, after running the unfinished ones.

    Args:
        stages: the stages, in order.
        work: runs unfinished stages in their folders and returns their results in order.
        progress: shows progress.
    """
    results = {stage.name: stage.result() for stage in stages}
    pending = [stage for stage in stages if results[stage.name] is None]
    for stage in stages:
        if stage in pending:
            reason = stage.outdated()
            progress.say(f"{stage.name} … ({reason})" if reason else f"{stage.name} …")
        else:
            elsewhere = stage.elsewhere()
            progress.say(f"{stage.name}: reused ({elsewhere})" if elsewhere else f"{stage.name}: reused")
    if pending:
        start = time.perf_counter()
        for stage in pending:
            stage.begin(progress.say)
        with metered(stage.folder for stage in pending):
            outcomes = work(pending)
        for stage, outcome in zip(pending, outcomes, strict=True):
            seconds = time.perf_counter() - start
            stage.finish(outcome.result, outcome.seconds or seconds)
            results[stage.name] = stage.result()
            progress.say(f"{stage.name}: done in {seconds:.0f} s")
    return [result for result in results.values() if result is not None]


@contextlib.contextmanager
def locked(folder: Path, shared: bool = False) -> Iterator[None]:
    """Locks the folder of a run for the duration of a with-block.

    Args:
        folder: the folder.
        shared: other processes may hold a shared lock at the same time, but no other one.

    Raises:
        RequestError: another process holds it, or it cannot be written.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise RequestError(f"Cannot write {folder}: {error.strerror}. Choose another folder with --runs.") from None
    with stream:
        try:
            fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            raise RequestError(
                f"Another run (process {stream.read().strip() or 'unknown'}) works in {folder}; "
                "wait for it to end, or choose another folder with --runs."
            ) from None
        stream.truncate(0)
        stream.write("" if shared else str(os.getpid()))
        stream.flush()
        begin_call()
        yield
