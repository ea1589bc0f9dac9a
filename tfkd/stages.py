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


class Stage:
    """One stage's folder. It is done when `stage.json` holds the fingerprint that is asked for.

    Args:
        folder: where the stage's files are.
        fingerprint: of all that its result depends on.
        base: fingerprint of what its unfinished or smaller results can be continued with; by default the same.
    """

    def __init__(self, folder: Path, fingerprint: str, base: str | None = None) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.base = base or fingerprint

    @property
    def name(self) -> str:
        """The stage's name, which is its folder's."""
        return self.folder.name

    def result(self) -> dict[str, Any] | None:
        """Returns what the finished stage gave, or None where it is still to be done."""
        try:
            done = json.loads((self.folder / DONE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(done, dict) or done.get("fingerprint") != self.fingerprint:
            return None
        result: dict[str, Any] = done["result"]
        return result

    def begin(self) -> None:
        """Makes the folder ready: what a call with the same base left stays, all else goes."""
        try:
            begun = (self.folder / BEGUN).read_text(encoding="utf-8")
        except OSError:
            begun = ""
        if begun != self.base:
            self.forget()
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
        progress.say(f"{stage.name} …" if stage in pending else f"{stage.name}: reused")
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
