"""Tiny runs on generated photos, and tfkd's commands in processes that are forked with TensorFlow already loaded.

A command that imports nothing takes seconds instead of half a minute. Its own children are forked too, also those that
`tfkd.sandbox` spawns, from a fork server in the command's own process group: killing the group kills the same processes
as for a command from a shell.
"""

import atexit
import contextlib
import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfkd import temporary
from tfkd.files import sha256

RECIPE = "recipe.py"
LOG, TEMPORARY = "log.txt", "tmp"
ROOTS = ("runs", "exported_models")
TIMED = ("manifest.json", "SHA256SUMS", "MODEL_CARD.md", "report.html")  # they contain dates or latencies
_CLASSES = ("sky", "grass", "tomato")


def fill(home: Path, recipe: str, models: str, photos: int) -> None:
    """Makes a folder in which the recipe can be run.

    Args:
        home: the folder, created here.
        recipe: text of the recipe, which names `folder:photos`, and networks as `models:NAME`.
        models: text of `models.py`.
        photos: photos per class.
    """
    random = np.random.default_rng(0)
    for label, name in enumerate(_CLASSES):
        (home / "photos" / name).mkdir(parents=True)
        for number in range(photos):
            pixels = random.integers(0, 160, (36, 40, 3))
            pixels[..., 2 - label] += 60
            Image.fromarray(pixels.astype(np.uint8)).save(home / "photos" / name / f"{number:02d}.png")
    (home / "models.py").write_text(models, encoding="utf-8")
    (home / RECIPE).write_text(recipe, encoding="utf-8")
    (home / "labels.txt").write_text("\n".join(sorted(_CLASSES)), encoding="utf-8")
    (home / TEMPORARY).mkdir()


class Call:
    """One command, in a process group of its own; its temporary files go to `tmp`, its output to `log.txt`.

    Args:
        home: folder to run it in.
        arguments: of `tfkd`.
    """

    def __init__(self, home: Path, arguments: Sequence[str]) -> None:
        self._log = home / LOG
        self._process: BaseProcess = _FORKSERVER.Process(target=_call, args=(home, list(arguments)))
        self._process.start()

    def ends_within(self, seconds: float | None) -> bool:
        """Waits for the end; returns whether the command ended in time."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    def kill(self) -> None:
        """Kills the whole group with SIGKILL, and waits until it is gone."""
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):  # no group of its own yet
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        while _group_lives(self._process.pid):
            time.sleep(0.01)

    def end(self) -> tuple[int, str]:
        """Waits for the end; returns the exit code, negative for a signal, and the output."""
        self._process.join()
        return self._process.exitcode or 0, self.printed()

    def printed(self) -> str:
        """Returns the output so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""


def tree(home: Path, chosen: Callable[[Path], bool] = lambda path: True) -> dict[str, str]:
    """Returns the SHA-256 of the chosen files of runs and bundles, by their path below `home`."""
    files = [path for root in ROOTS for path in sorted((home / root).rglob("*")) if path.is_file()]
    return {path.relative_to(home).as_posix(): sha256(path) for path in files if chosen(path)}


def without(value: Any, names: Sequence[str]) -> Any:
    """Returns a JSON-like value without the fields of these names, at any depth."""
    if isinstance(value, dict):
        return {key: without(each, names) for key, each in value.items() if key not in names}
    return [without(each, names) for each in value] if isinstance(value, list) else value


def read(path: Path) -> Any:
    """Returns the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _call(home: Path, arguments: list[str]) -> None:
    os.setsid()
    os.chdir(home)
    os.environ["TMPDIR"] = str(home / TEMPORARY)
    tempfile.tempdir = None  # the fork server has one already, as multiprocessing has
    multiprocessing.process.current_process()._config.pop("tempdir", None)  # type: ignore[attr-defined]
    descriptor = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    temporary.kept_together()  # as the command does before it starts anything
    _serve_forks()
    from tfkd import cli

    multiprocessing.set_start_method("fork", force=True)  # which a command from a shell has by default
    multiprocessing.get_context("spawn").Process = _FORKSERVER.Process  # type: ignore[assignment,misc]
    try:
        sys.exit(cli.execute(arguments))
    finally:
        atexit._run_exitfuncs()  # a forked process leaves them out


def _serve_forks() -> None:
    """Has this process's children forked from a copy of it, which `multiprocessing` takes for its fork server."""
    server = forkserver._forkserver  # type: ignore[attr-defined]
    address = multiprocessing.connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        reading, alive = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(alive)
            os.close(server._forkserver_alive_fd)
            server.ensure_running = lambda: None  # children of children are forked here too
            with contextlib.suppress(SystemExit):
                forkserver.main(listener.fileno(), reading, [])
            os._exit(0)
        os.close(reading)
    server._forkserver_address, server._forkserver_alive_fd, server._forkserver_pid = address, alive, pid


_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(
    [
        *(
            "tfkd.training.preloaded",
            "tfkd.cli",
            "tfkd.pipeline.run",
            "tfkd.pipeline.sweep",
            "tfkd.pipeline.compare",
            "tfkd.pipeline.own_model",
        ),
        *(
            "tfkd.writers.tflite",
            "tfkd.writers.coreml",
            "tfkd.writers.samples",
            "tfkd.writers.own",
            "tfkd.compress.student",
        ),
        *(
            "tfkd.bundle.verification",
            "tfkd.verification.artifacts",
            "tfkd.verification.tflite",
            "tfkd.verification.coreml",
            "tfkd.bundle.golden",
        ),
        *(
            "tfkd.pipeline.own_bundle",
            "tfkd.bundle.predictions",
            "tfkd.report.devices",
            "tfkd.report.trials",
            "tfkd.benchmark.host",
            "scipy.stats",
        ),
    ]
)
