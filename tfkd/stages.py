"""The folder of a run: one process at a time, one sub-folder a stage, each reused, resumed or made anew."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError
from tfkd.files import write_json, write_text
from tfkd.progress import Progress

DONE = "stage.json"
BEGUN = "begun.txt"
INPUTS = "inputs.json"
NAMED = 3  # inputs in a message about what changed


class Stage:
    """One stage's folder. It is done when `stage.json` holds the fingerprint that is asked for.

    Args:
        folder: where the stage's files are.
        fingerprint: of all that its result depends on.
        base: fingerprint of what its unfinished or smaller results can be continued with; by default the same.
        inputs: what the fingerprint is of, by name; kept beside the result, so that a later call can name what changed.
        product: what the stage makes, in words.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        base: str | None = None,
        inputs: dict[str, Any] | None = None,
        product: str = "result",
    ) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.base = base or fingerprint
        self.inputs = inputs or {}
        self.product = product

    @property
    def name(self) -> str:
        """The stage's name, which is its folder's."""
        return self.folder.name

    def result(self) -> dict[str, Any] | None:
        """Returns what the finished stage gave, or None where it is still to be done."""
        done = _read(self.folder / DONE)
        if done.get("fingerprint") != self.fingerprint:
            return None
        result: dict[str, Any] | None = done.get("result")
        return result

    def outdated(self) -> str:
        """Returns which inputs changed since the stage was begun, in a sentence; "" where none is known to have."""
        before, now = _read(self.folder / INPUTS), json.loads(json.dumps(self.inputs))
        if not before:
            return ""
        changed = [name for name in now | before if name not in now or name not in before or now[name] != before[name]]
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        return f"{', '.join(changed[:NAMED])}{more} changed since the {self.product} was made" if changed else ""

    def begin(self) -> None:
        """Makes the folder ready: what a call with the same base left stays, all else goes."""
        try:
            begun = (self.folder / BEGUN).read_text(encoding="utf-8")
        except OSError:
            begun = ""
        if begun != self.base:
            self.forget()
        write_json(self.folder / INPUTS, self.inputs)
        write_text(self.folder / BEGUN, self.base)

    def forget(self) -> None:
        """Removes the stage's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def reopen(self) -> None:
        """Marks the stage as unfinished; its files stay."""
        (self.folder / DONE).unlink(missing_ok=True)

    def finish(self, result: dict[str, Any]) -> None:
        """Marks the stage as done."""
        write_json(self.folder / DONE, {"fingerprint": self.fingerprint, "result": result})


def _read(path: Path) -> dict[str, Any]:
    """Returns a JSON object from a file, empty where the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def run_together(
    stages: list[Stage], work: Callable[[list[Stage]], list[dict[str, Any]]], progress: Progress
) -> list[dict[str, Any]]:
    """Returns the results of stages that can run side by side, doing the work of those that are not finished.

    Args:
        stages: the stages, in order.
        work: does the work of the given, unfinished stages in their folders and returns their results in order.
        progress: shows what is going on.
    """
    pending = [stage for stage in stages if stage.result() is None]
    for stage in stages:
        reason = stage.outdated()
        if stage not in pending:
            progress.say(f"{stage.name}: reused")
        else:
            progress.say(f"{stage.name} … ({reason})" if reason else f"{stage.name} …")
    if pending:
        start = time.perf_counter()
        for stage in pending:
            stage.begin()
        for stage, result in zip(pending, work(pending), strict=True):
            stage.finish(result)
            progress.say(f"{stage.name}: done in {time.perf_counter() - start:.0f} s")
    results = [stage.result() for stage in stages]
    return [result for result in results if result is not None]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a run's folder while the block runs.

    Raises:
        RequestError: another process holds it, or it cannot be written.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise RequestError(f"Cannot write {folder}: {error.strerror}. Choose another folder with --runs.") from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            raise RequestError(
                f"Another run (process {stream.read().strip() or 'unknown'}) works in {folder}; "
                "wait for it to end, or choose another folder with --runs."
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
