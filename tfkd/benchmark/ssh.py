"""Latency on an ARM board or any other Linux machine, through OpenSSH: `ssh://user@board[:port]`.

The runner and the files are copied to a fresh folder there, run with the board's own Python and LiteRT, and removed,
whatever ends the run here: an error, Ctrl-C or SIGTERM.
Two runs at once would disturb each other: the second is refused, by the lock of the folder above.
The user's OpenSSH configuration applies: keys, jump hosts, known hosts. There are no prompts: a board that
would want a password is an error.
"""

import contextlib
import re
import secrets
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import numpy as np

from tfkd.benchmark import driver, gates, programs
from tfkd.benchmark.driver import Listener, RunnerPlace
from tfkd.benchmark.options import SshOptions
from tfkd.benchmark.programs import ChildError, completed
from tfkd.benchmark.subject import BenchSubject
from tfkd.bundle.results import Result
from tfkd.errors import MachineError, RequestError, TfkdError
from tfkd.progress import Say

FORMATS = ("tflite",)
LIMITS = gates.TIMES | {"max_memory_mb"}
CONNECTING = 15  # seconds
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": str(CONNECTING),
    "ServerAliveInterval": "5",  # a board that is unplugged in the middle is noticed after three of these
    "ServerAliveCountMax": "3",
}
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_HOST = rf"{_NAME}|[0-9A-Fa-f:.]+(?:%{_NAME})?"
_FOLDER = re.compile(r"/[A-Za-z0-9_./-]+/tfkd-bench\.[0-9a-f]{16}")
_PID = "pid"  # in the folder: the process group of what runs there, which sshd makes one of its own
# Ends the process group $p, and waits five seconds at most until it has ended.
_STOP = (
    "kill -9 -$p 2>/dev/null && n=0 && while kill -0 -$p 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done"
)
_REFUSED = 255  # ssh's exit code for its own errors
# Of these the user's configuration is the cause; of other failures to connect, the network or the board.
_MISCONFIGURED = re.compile(
    r"Permission denied|Host key verification failed|REMOTE HOST IDENTIFICATION|Could not resolve hostname|"
    r"Bad configuration|Bad owner|Can't open user config|Too many authentication failures"
)
_NO_COMMAND = 127


@dataclass(frozen=True)
class Board:
    """A machine that OpenSSH reaches.

    Attributes:
        host: name or address; an IPv6 address without brackets.
        user: None for what the OpenSSH configuration says.
        port: None likewise.
        config: an OpenSSH configuration file in place of the user's own.
    """

    host: str
    user: str | None = None
    port: int | None = None
    config: Path | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"ssh://{user}{host}{port}"

    def ssh(self, command: str) -> list[str]:
        """Returns the arguments that run a command in the board's `sh`, whatever the user's login shell is."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return ["ssh", "-T", *self._common(), *user, *port, "--", self.host, f"exec sh -c {shlex.quote(command)}"]

    def scp(self, files: list[Path], folder: str) -> list[str]:
        """Returns the arguments that copy files into a folder of the board."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = ["-P", str(self.port)] if self.port else []
        return ["scp", "-q", *self._common(), *port, "--", *map(str, files), f"{user}{host}:{folder}/"]

    def _common(self) -> list[str]:
        config = ["-F", str(self.config)] if self.config else []
        return [*config, *(argument for name, value in _OPTIONS.items() for argument in ("-o", f"{name}={value}"))]


def check(address: str, options: SshOptions) -> None:
    """Logs in to the board and starts its Python, without measuring.

    Raises:
        RequestError: the address is wrong, or the board refuses this user or lacks Python.
        MachineError: the board cannot be reached.
    """
    board = parse(address, options.ssh_config)
    if not _remote_output(board, f"command -v {shlex.quote(options.python)} || true").strip():
        raise RequestError(f"{board} has no {options.python}. Install Python there, or name it by --python.")


def bench(
    address: str,
    subject: BenchSubject,
    options: SshOptions,
    progress: Say | None = None,
    listener: Listener = driver.DEAF,
) -> list[Result]:
    """Times one inference (batch 1) of every file on a board.

    Args:
        address: `//user@board[:port]`.
        subject: .tflite files, each with one uint8 or float32 image input.
        options: how often, with which Python and OpenSSH configuration.
        progress: receives a line about what is being done.
        listener: hears of the board before anything is timed.

    Returns:
        For every file one result a number of threads.

    Raises:
        RequestError: the board refuses this user, lacks Python or LiteRT, or cannot run a file.
        MachineError: the board cannot be reached, does not answer, or is being measured.
    """
    board = parse(address, options.ssh_config)
    with _folder(board) as folder:
        if progress is not None:
            progress(f"copying {len(subject.paths)} files to {board}")
        names = {name: f"{number}.tflite" for number, name in enumerate(subject.paths)}
        _copy(board, folder, subject, names, options.patience)
        environment = " ".join(f"{name}={value}" for name, value in programs.ENVIRONMENT.items())
        python = f"{environment} exec {shlex.quote(options.python)} {driver.RUNNER.name}"
        place = RunnerPlace(
            target="ssh",
            title=str(board),
            command=board.ssh(f"cd {shlex.quote(folder)} && echo $$ > {_PID} && {python}"),
            files=names,
            golden="golden.npy" if len(subject.images) else None,
            lock=str(PurePosixPath(folder).parent),
        )
        try:
            return driver.run(place, subject, options, progress, listener)
        except ChildError as error:
            raise _explained(board, options.python, error) from None


def parse(address: str, config: Path | None = None) -> Board:
    """Reads `//user@board[:port]`.

    Raises:
        RequestError: it is not of this form.
    """
    wrong = RequestError(f"ssh:{address} is no board. Write ssh://user@board or ssh://user@board:port.")
    try:
        parts = urlsplit(f"ssh:{address}")
        host, port, user = parts.hostname, parts.port, parts.username
    except ValueError:
        raise wrong from None
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.password is not None:
        raise wrong
    if not host or not re.fullmatch(_HOST, host) or (user is not None and not re.fullmatch(_NAME, user)):
        raise wrong
    return Board(host, user, port, config)


@contextlib.contextmanager
def _folder(board: Board) -> Iterator[str]:
    """Makes a fresh folder on the board, and removes it with what still runs in it.

    Its name is chosen here, so that it can be removed too if this process is interrupted while it is made.
    """
    named = f'd="${{TMPDIR:-/tmp}}/tfkd-bench.{secrets.token_hex(8)}"'
    try:
        output = _remote_output(board, f'{named}; umask 077 && mkdir "$d" && echo "$d"').strip().splitlines()
        folder = output[-1] if output else ""
        if not _FOLDER.fullmatch(folder) or ".." in folder:
            raise RequestError(f"{board} made no folder for the files but said {folder[:100]!r}. Set TMPDIR there.")
        yield folder
    finally:
        # An error on the way says more than that the folder could not be removed either.
        with contextlib.suppress(TfkdError):
            _remote_output(board, f'{named}; p=$(cat "$d/{_PID}" 2>/dev/null) && {_STOP}; rm -rf -- "$d"')


def _copy(board: Board, folder: str, subject: BenchSubject, names: dict[str, str], patience: float) -> None:
    with tempfile.TemporaryDirectory() as staged:
        stage = Path(staged)
        for name, path in subject.paths.items():
            (stage / names[name]).symlink_to(path.absolute())
        (stage / driver.RUNNER.name).symlink_to(driver.RUNNER.resolve())
        np.save(stage / "golden.npy", subject.images)
        local_paths = sorted(stage.iterdir())
        # At a megabyte per second, with the patience on top.
        limit = patience + sum(path.stat().st_size for path in local_paths) / 1e6
        _output(board, board.scp(local_paths, folder), limit)


def _remote_output(board: Board, command: str) -> str:
    return _output(board, board.ssh(command), 2 * CONNECTING)


def _output(board: Board, command: list[str], limit: float) -> str:
    try:
        process = completed(command, limit)
    except FileNotFoundError:
        raise RequestError(f"{command[0]} is not installed here. Install the OpenSSH client.") from None
    except subprocess.TimeoutExpired:
        raise MachineError(f"{board} did not finish {command[0]} within {limit:.0f} seconds. Try again.") from None
    if process.returncode != 0:
        raise _unreachable(board, ChildError(process.returncode, process.stderr).last_line)
    return process.stdout


def _explained(board: Board, python: str, error: ChildError) -> TfkdError:
    if error.code == _NO_COMMAND:
        return RequestError(f"{board} has no {python}. Install Python 3.10 or newer there, or name it with --python.")
    if "No module named" in error.last_line:
        return RequestError(
            f"{board} has no LiteRT for {python}. Install it there: "
            "python3 -m venv tfkd-bench && tfkd-bench/bin/pip install ai-edge-litert; "
            "then add --python tfkd-bench/bin/python with its full path."
        )
    if error.code == _REFUSED:
        return _unreachable(board, error.last_line)
    return RequestError(f"The runner on {board} ended with code {error.code}: {error.last_line}")


def _unreachable(board: Board, reason: str) -> TfkdError:
    kind = RequestError if _MISCONFIGURED.search(reason) else MachineError
    return kind(f"{board}: {' '.join(reason.split()).rstrip('.')}. See that `{shlex.join(board.ssh('true'))}` works.")
