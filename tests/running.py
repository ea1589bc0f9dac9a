"""Commands in processes that are forked with TensorFlow loaded, which saves two imports of it per command."""

import os
import sys
import tempfile
from pathlib import Path

from tfkd.processes import FORKSERVER, begin_child, server_address, start_server

SECONDS = 900.0


def run(home: Path, *arguments: str) -> tuple[int, str, str]:
    """Runs a command in a folder and returns its exit code, what it printed, and what it printed on stderr.

    Raises:
        TimeoutError: it took longer than SECONDS.
    """
    start_server()
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("out", "err")]
        process = FORKSERVER.Process(target=_run, args=(list(arguments), home, streams, server_address()))
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"tfkd {' '.join(arguments)} took more than {SECONDS:g} s")
        output, errors = (stream.read_text(encoding="utf-8") for stream in streams)
    return process.exitcode, output, errors


def _run(arguments: list[str], home: Path, streams: list[Path], server: str | None) -> None:
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
