"""The ssh target against a real OpenSSH server on loopback, with keys of its own."""

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfkd.benchmark import driver, ssh
from tfkd.benchmark.options import SshOptions
from tfkd.benchmark.subject import of_bundle, of_files
from tfkd.errors import MachineError, RequestError

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
NEEDED = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None, reason="no OpenSSH server: apt-get install openssh-server"
)
QUICK = {"runs": 2, "warmup": 1, "processes": 2, "threads": (1,), "patience": 60.0}


class Server:
    """A running sshd, what a client needs to reach it, and the folder that stands for the board's /tmp."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder = folder
        self.temporary = temporary
        for name in ("host_key", "user_key", "other_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.known(folder / "host_key.pub")
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\nSetEnv TMPDIR={temporary}\n"
        )
        self.log = folder / "sshd.log"
        # -E: what the server says is read where a test fails.
        self.process = subprocess.Popen([SSHD, "-D", "-f", folder / "sshd_config", "-E", self.log])

    @property
    def address(self) -> str:
        return f"//{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1:{self.port}"

    def known(self, key: Path) -> Path:
        kind, content, *_ = key.read_text().split()
        known = self.folder / f"known_{key.stem}"
        known.write_text(f"[127.0.0.1]:{self.port} {kind} {content}\n")
        return known

    def config(self, user_key: str = "user_key", known: str = "known_host_key") -> Path:
        path = self.folder / f"config_{user_key}_{known}"
        path.write_text(
            f"IdentityFile {self.folder}/{user_key}\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {self.folder}/{known}\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n"
        )
        return path

    def sessions(self) -> list[int]:
        return [
            int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]

    def answers(self) -> bool:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.1)
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    separation = Path("/run/sshd")  # where OpenSSH locks its unprivileged half in; the init script makes it
    created = os.getuid() == 0 and not separation.exists()
    if created:
        separation.mkdir(mode=0o755)
    running = Server(tmp_path_factory.mktemp("sshd"), tmp_path_factory.mktemp("board"))
    try:
        if not running.answers():
            pytest.skip(f"sshd does not start here: {running.log.read_text().strip()[-200:]}")
        yield running
    finally:
        running.process.terminate()
        running.process.wait()
        if created:
            separation.rmdir()


def options(server, **changes):
    return SshOptions(**{**QUICK, "ssh_config": server.config(), "python": sys.executable, **changes})


@NEEDED
def test_a_bundle_is_measured_over_ssh_and_nothing_stays_there(server, shipped):
    lines = []
    results = ssh.bench(server.address, of_bundle(shipped), options(server), lines.append)
    assert [result.artifact.path for result in results] == ["android/heavy.tflite", "android/light.tflite"]
    for result in results:
        assert result.target == "ssh" and result.runs == 2 and len(result.samples_ms) == 2
        assert result.golden.passed and result.golden.checked == 3
        assert result.rung == ("x86" if os.uname().machine == "x86_64" else "device") and not result.emulated
    assert lines[0].startswith("copying 2 files to ssh://")
    assert list(server.temporary.iterdir()) == []


def running_in(folder):
    """Returns what runs from a folder, as a command line each."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended, or is another user's
            continue
    return found


@pytest.mark.slow
@NEEDED
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_on_the_board(server, shipped, tmp_path, number):
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "tfkd.cli", "bench", str(shipped), "--target", f"ssh:{server.address}"]
    command += ["--ssh-config", str(server.config()), "--python", sys.executable]
    command += ["--runs", "100000", "--processes", "1", "--threads", "1"]
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if "round" in line:
            break
    assert running_in(server.temporary)
    child.send_signal(number)
    assert child.wait(60) == 128 + number
    assert running_in(server.temporary) == [] and list(server.temporary.iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == [] and not (shipped / "measurements").exists()


@NEEDED
def test_a_second_run_at_the_same_time_is_refused(server, files):
    other = os.open(server.temporary, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(MachineError, match=r"ssh://.* is being measured by another run of tfkd bench\. Wait"):
        ssh.bench(server.address, of_files(files), options(server))
    assert list(server.temporary.iterdir()) == []
    os.close(other)  # as when the other run has ended, however it did
    assert len(ssh.bench(server.address, of_files(files), options(server))) == 2


@NEEDED
def test_the_lock_is_held_while_files_are_timed(server, files, monkeypatch):
    def look(text):
        if text.startswith("timing, "):
            with pytest.raises(BlockingIOError):
                fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
            texts.append(text)

    texts, mine = [], os.open(server.temporary, os.O_RDONLY)
    monkeypatch.setattr(driver, "SECONDS_BETWEEN_LINES", 0.0)
    ssh.bench(server.address, of_files(files), options(server), look)
    assert texts
    os.close(mine)


@NEEDED
def test_names_with_spaces_and_quotes_arrive(server, files, tmp_path):
    odd = tmp_path / 'it\'s $(a) "model"; rm.tflite'
    shutil.copy(files["light"], odd)
    (result,) = ssh.bench(server.address, of_files({"odd name": odd}), options(server))
    assert result.artifact.path == "odd name"


@NEEDED
def test_a_board_that_refuses_the_key_is_reported(server, files):
    with pytest.raises(RequestError, match="Permission denied") as caught:
        ssh.bench(server.address, of_files(files), options(server, ssh_config=server.config(user_key="other_key")))
    assert "\n" not in str(caught.value) and "See that `ssh" in str(caught.value)


@NEEDED
def test_a_board_that_is_another_is_refused(server, files):
    server.known(server.folder / "other_key.pub")
    with pytest.raises(RequestError, match="Host key verification failed"):
        ssh.bench(server.address, of_files(files), options(server, ssh_config=server.config(known="known_other_key")))


@NEEDED
def test_an_unreachable_board_is_named(files):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with pytest.raises(MachineError, match=r"127\.0\.0\.1.*Connection refused"):
            ssh.bench(f"//someone@127.0.0.1:{probe.getsockname()[1]}", of_files(files), SshOptions(**QUICK))


@NEEDED
def test_a_missing_python_on_the_board_names_what_to_install(server, files):
    with pytest.raises(RequestError, match=r"has no /no/python; touch x\. Install Python"):
        ssh.bench(server.address, of_files(files), options(server, python="/no/python; touch x"))
    assert list(server.temporary.iterdir()) == []


@NEEDED
def test_a_missing_litert_on_the_board_names_what_to_install(server, files, tmp_path):
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(RequestError, match=r"has no LiteRT .*pip install ai-edge-litert"):
        ssh.bench(server.address, of_files(files), options(server, python=str(bare)))


@NEEDED
def test_a_file_that_breaks_the_runtime_is_named(server, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 4)
    with pytest.raises(RequestError, match=r"cannot run .*broken\.tflite on ssh://"):
        ssh.bench(server.address, of_files({"broken": broken}), options(server))
    assert list(server.temporary.iterdir()) == []


@NEEDED
def test_a_connection_that_breaks_in_the_middle_ends_soon_and_leaves_nothing(server, files):
    def cut():
        for pid in server.sessions():
            os.kill(pid, signal.SIGKILL)

    def cut_soon(text):
        if text.startswith("timing"):
            threading.Timer(2, cut).start()

    began = time.monotonic()
    with pytest.raises(MachineError, match=r"ssh://.*See that `ssh"):
        ssh.bench(server.address, of_files(files), options(server, runs=200_000, processes=50), cut_soon)
    assert time.monotonic() - began < 60
    assert list(server.temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "board"),
    [
        ("//pi", ssh.Board("pi")),
        ("//pi@board.local", ssh.Board("board.local", "pi")),
        ("//pi@10.0.0.7:2222/", ssh.Board("10.0.0.7", "pi", 2222)),
        ("//pi@[fe80::1]:22", ssh.Board("fe80::1", "pi", 22)),
    ],
)
def test_addresses(address, board):
    assert ssh.parse(address) == board
    assert ssh.parse(str(board).removeprefix("ssh:")) == board


@pytest.mark.parametrize(
    "address",
    ["", "//", "pi@board", "//-oProxyCommand=id@board", "//pi@-board", "//pi:secret@board", "//pi@board/x", "//b:99999",
     "//pi@board;id", "//pi@board:x", "//pi@bo ard", "//[::1", "//pi@board?x", "//$(id)@board"],
)  # fmt: skip
def test_what_is_no_address(address):
    with pytest.raises(RequestError, match="Write ssh://user@board"):
        ssh.parse(address)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=20))
def test_no_text_becomes_an_option_of_ssh(text):
    try:
        board = ssh.parse(f"//{text}")
    except RequestError:
        return
    command = board.ssh("true")
    assert command[-3] == "--" and command[-2] == board.host and not board.host.startswith("-")
    assert board.user is None or not board.user.startswith("-")


def test_a_command_reaches_the_boards_shell_as_it_is() -> None:
    command = "printf %s 'it is \"$HOME\"'; exit 3"
    remote = ssh.Board("board").ssh(command)[-1]
    done = subprocess.run(["sh", "-c", remote], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ('it is "$HOME"', 3)
