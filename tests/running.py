"""Commands in processes that are forked with TensorFlow loaded, which saves two imports of it per command."""

import os
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from tfkd.processes import FORKSERVER, begin_child, server_address, start_server

SECONDS = 900.0


def run(home: Path, *arguments: str) -> tuple[int, str, str]:
    """Runs a command in a folder and returns its exit code, what it printed, and what it printed on stderr.

    Raises:
        TimeoutError: it took longer than SECONDS.
    """
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("out", "err")]
        process = start(home, *arguments, streams=streams)
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"tfkd {' '.join(arguments)} took more than {SECONDS:g} s")
        output, errors = (stream.read_text(encoding="utf-8") for stream in streams)
    return process.exitcode, output, errors


def start(home: Path, *arguments: str, streams: Sequence[Path] = (Path(os.devnull),) * 2) -> BaseProcess:
    """Starts a command in a folder; `streams` are the files of its stdout and stderr."""
    start_server()
    process = FORKSERVER.Process(target=_run, args=(arguments, home, streams, server_address()))
    process.start()
    return process


def _run(arguments: Sequence[str], home: Path, streams: Sequence[Path], server: str | None) -> None:
    import atexit

    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(home)
    begin_child(server)
    from tfkd import cli

    try:
        cli.main(arguments)
    finally:
        sys.stdout.flush()
        atexit._run_exitfuncs()  # a forked process leaves them out
