"""Tries mutants in copies of the project."""

import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

from tools.mutants.mutant import Mutant, MutantError
from tools.mutants.selecting import Suite

_LEFT = shutil.ignore_patterns(
    ".git", ".venv", "runs", "exported_models", "build", "*_cache", "__pycache__", "*.egg-info"
)
_NOTICED = re.compile(r"^(?:FAILED|ERROR) (\S+\.py(?:::.*?)?)(?: - .*)?$", re.MULTILINE)
_PASSED, _FAILED, _INTERRUPTED = 0, 1, 2  # exit codes of pytest

_WARM = multiprocessing.get_context("forkserver")
# A fork server apart from that of tfkd, which has the very modules loaded that mutants change.
_SERVER = multiprocessing.forkserver.ForkServer()
_SERVER.set_forkserver_preload(["tools.mutants.warm"])
_STARTING = threading.Lock()


@dataclass(frozen=True)
class Verdict:
    """The result of the tests on a mutant.

    Attributes:
        mutant: the mutant.
        word: caught, timeout (caught as well: the tests did not end), survived, or unclear (a test fails without the
            mutant too).
        caught_by: the test that failed, or the tests that did not end.
        seconds: duration.
    """

    mutant: Mutant
    word: str
    caught_by: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class _Outcome:
    """The result of pytest.

    Attributes:
        code: its exit code, or minus the signal that killed it; None after a timeout.
        tests: those that failed or did not end.
    """

    code: int | None
    tests: tuple[str, ...]


class Copy:
    """A copy of the project with at most one mutant at a time."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(root, folder, ignore=_LEFT, symlinks=True)
        (folder / "exported_models").mkdir(exist_ok=True)

    @contextlib.contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """Keeps a mutant in the copy while the block runs."""
        path = self.folder / mutant.file
        source = path.read_text(encoding="utf-8")
        path.write_text(mutant.applied(source), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(source, encoding="utf-8")

    def run(self, tests: list[str], limit: float) -> _Outcome:
        """Runs tests up to the first that fails.

        Raises:
            MutantError: there are no such tests, or pytest cannot be run.
        """
        output = self.folder.with_suffix(".txt")
        process = _WARM.Process(target=_run_tests, args=(str(self.folder), tests, str(output)))
        _start(process)
        process.join(limit)
        code = process.exitcode
        _end(process)
        if code is None:
            return _Outcome(None, tuple(tests))
        printed = output.read_text(encoding="utf-8", errors="replace")
        if code not in (_PASSED, _FAILED, _INTERRUPTED) and code >= 0:
            raise MutantError(f"pytest {' '.join(tests)} ended with {code}:\n{printed[-2000:]}")
        noticed = tuple(dict.fromkeys(_NOTICED.findall(printed)))
        return _Outcome(code, () if code == _PASSED else noticed or tuple(tests))


def _run_tests(folder: str, tests: list[str], output: str) -> None:
    from tools.mutants.warm import run_tests  # slow, unless the fork has imported it

    run_tests(folder, tests, output)


def _start(process: Any) -> None:
    """Starts a process from the server of this module."""
    with _STARTING:
        connect = multiprocessing.forkserver.connect_to_new_process
        multiprocessing.forkserver.connect_to_new_process = _SERVER.connect_to_new_process
        try:
            process.start()
        finally:
            multiprocessing.forkserver.connect_to_new_process = connect


def _end(process: Any) -> None:
    """Kills a process and its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


def judge(copy: Copy, mutant: Mutant, suite: Suite, limit: float, thorough: bool) -> Verdict:
    """Tries a mutant on its own tests, and on more if those pass.

    Args:
        copy: the copy to change.
        mutant: the mutant.
        suite: the tests of the project.
        limit: seconds for each of the two.
        thorough: whether to run more than its own tests.
    """
    start = time.monotonic()
    stages = [list(mutant.tests)] if mutant.tests else [suite.near(mutant.file), suite.far(mutant.file)]
    for stage in filter(None, stages if thorough else stages[:1]):
        with copy.changed(mutant):
            outcome = copy.run(stage, limit)
        if outcome.code != _PASSED:
            word = "timeout" if outcome.code is None else "caught"
            return Verdict(mutant, word, outcome.tests[:1] if outcome.code else outcome.tests, time.monotonic() - start)
    return Verdict(mutant, "survived", (), time.monotonic() - start)


def failing_anyway(copies: list[Copy], tests: Iterable[str], limit: float) -> set[str]:
    """Returns the tests that fail without any mutant, and therefore notice nothing.

    Args:
        copies: the copies to run them in, in parallel.
        tests: names, or files.
        limit: seconds for each round; a round ends at the first test that fails.
    """
    files = sorted({test.partition("::")[0] for test in tests})
    shares = [
        [test for test in tests if test.partition("::")[0] in files[place :: len(copies)]]
        for place in range(len(copies))
    ]
    with ThreadPoolExecutor(len(copies)) as pool:
        return set().union(*pool.map(lambda copy, share: _failing(copy, share, limit), copies, shares))


def _failing(copy: Copy, tests: list[str], limit: float) -> set[str]:
    left, failing = set(tests), set()
    while left:
        outcome = copy.run(sorted(left), limit)
        if outcome.code == _PASSED:
            break
        spoilt = {test for test in left if test in outcome.tests} or left
        failing |= spoilt
        left -= spoilt
    return failing


def judge_all(
    root: Path,
    mutants: list[Mutant],
    workers: int,
    limit: float,
    scratch: Path,
    package: str = "tfkd",
    thorough: bool = True,
) -> Iterator[Verdict]:
    """Yields the verdicts on mutants as they come.

    Args:
        root: root of the project, which is only read.
        mutants: the mutants to try.
        workers: number of mutants in parallel, each in a copy of its own.
        limit: seconds for the tests of one mutant.
        scratch: an empty folder for the copies.
        package: the folder of the source.
        thorough: try mutants that their own tests do not notice on more of the suite.
    """
    copies: Queue[Copy] = Queue()
    for number in range(workers):
        copies.put(Copy(root, scratch / f"copy-{number}"))
    suite = Suite(root, package)

    def tried(mutant: Mutant) -> Verdict:
        copy = copies.get()
        try:
            return judge(copy, mutant, suite, limit, thorough)
        finally:
            copies.put(copy)

    with ThreadPoolExecutor(workers) as pool:
        for done in as_completed([pool.submit(tried, mutant) for mutant in mutants]):
            yield done.result()
