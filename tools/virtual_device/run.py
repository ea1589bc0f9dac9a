"""A virtual Android device for tests: python tools/virtual_device/run.py

Real adbd, mksh and toybox run in namespaces of their own (user, mount, network, process), because adbd accepts
everybody without a password. Only the adb server's socket is reachable from outside: a file, whose name is in the first
line of stdout together with adb's. No root rights are needed. aarch64 programs run under QEMU by binfmt_misc, which
only affects this device.

It executes commands, lines of JSON on stdin, and answers each with one line on stdout. It ends when stdin is closed.

    {"do": "kill"}                         adbd and its processes die, as when a phone is switched off
    {"do": "start"}                        adbd starts again; what was in /data is still there
    {"do": "boot"}                         the same, but the whole phone had been switched off
    {"do": "fault", "after": N, "then": "kill" | "cut" | "stall"}    at N more bytes from the computer
    {"do": "slow", "rate": N}              bytes per second, in either direction; 0 for no limit
    {"do": "write", "path": P, "text": T}  writes a file of the device
    {"do": "list", "path": P}              answers with the paths of all files below a folder of the device
    {"do": "processes"}                    answers with the command lines of what runs on the device, and if adbd does
    {"do": "connect", "as": "second" | "locked"}    another device is plugged in: equal, or one that trusts nobody
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.benchmark.arm64 import root as arm64_root
from tfkd.errors import RequestError, TfkdError

HERE = Path(__file__).resolve().parent
PACKAGES, SYSTEM = HERE / "packages.lock", HERE / "system"
READY = "ready"
ADBD_PORT, LINK_PORT, LOCKED_PORT = 7000, 7001, 7002
STORAGE = "400m"  # of /data
AARCH64 = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
AARCH64_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
CHUNK = 1 << 14


def main() -> int:
    """Starts the device in namespaces of its own, and waits for its end."""
    try:
        place, arm = folder(), arm64_root.find(arm64_root.folder())
        if not (place / READY).is_file():
            raise RequestError(f"There is no virtual device at {place}. Run `python {HERE.name}/setup.py` in tools.")
    except TfkdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    with tempfile.TemporaryDirectory(prefix="tfkd-virtual-device-") as work:
        namespaces = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        inside = [sys.executable, __file__, "inside", work, str(place), str(arm.folder)]
        return subprocess.run([*namespaces, *inside], check=False).returncode


def inside(work: Path, place: Path, arm: Path) -> int:
    """Builds the device, connects it, and executes commands."""
    link_up()
    device = Device(build(work / "root", place / "amd64", arm), place / "amd64")
    device.boot()
    link = Link(LINK_PORT, device)
    adb = Adb(work, place / "amd64")
    adb.connect(LINK_PORT)
    say(adb=str(adb.program), socket=adb.socket, serial=f"127.0.0.1:{LINK_PORT}")
    for line in sys.stdin:
        say(**obey(json.loads(line), device, link, adb))
    return 0


def obey(order: dict[str, Any], device: "Device", link: "Link", adb: "Adb") -> dict[str, Any]:
    """Executes one command, and returns the answer."""
    match order:
        case {"do": "kill"}:
            device.kill()
        case {"do": "start"}:
            device.start()
        case {"do": "boot"}:
            device.boot()
        case {"do": "fault", "after": int(after), "then": str(then)}:
            link.fault(after, then)
        case {"do": "slow", "rate": int(rate)}:
            link.rate = rate
        case {"do": "write", "path": str(path), "text": str(text)}:
            device.path(path).write_text(text)
        case {"do": "list", "path": str(path)}:
            top = device.path(path)
            return {"files": sorted(str(each.relative_to(top)) for each in top.rglob("*"))}
        case {"do": "processes"}:
            return {"processes": device.processes(), "adbd": device.runs()}
        case {"do": "connect", "as": "second"}:
            adb.connect(Link(LINK_PORT + 10, device).port)
        case {"do": "connect", "as": "locked"}:
            adb.connect(locked(LOCKED_PORT))
        case _:
            return {"error": f"unknown order {order}"}
    return {"done": order["do"]}


class Device:
    """adbd in its root.

    Args:
        root: the device's file system.
        packages: the unpacked packages.
    """

    def __init__(self, root: Path, packages: Path) -> None:
        self.root = root
        self._packages = packages
        self._adbd: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts adbd unless it runs, and waits until it listens."""
        environment = {
            "PATH": "/system/bin",
            "HOME": "/",
            "TMPDIR": "/data/local/tmp",
            "ADBD_PORT": str(ADBD_PORT),
            "QEMU_CPU": arm64_root.PROFILES["cortex-a76"].qemu,
        }
        with self._lock:
            if not self.runs():
                self._adbd = subprocess.Popen(
                    ["/usr/lib/android-sdk/platform-tools/adbd"],
                    preexec_fn=lambda: os.chroot(self.root),
                    cwd="/",
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                wait_for_port(ADBD_PORT)

    def runs(self) -> bool:
        """Returns whether adbd runs."""
        return self._adbd is not None and self._adbd.poll() is None

    def boot(self) -> None:
        """Starts adbd as after a restart of the phone."""
        (self.root / "etc/boot_id").write_text(f"{uuid.uuid4()}\n")
        self.start()

    def kill(self) -> None:
        """Ends adbd and everything that it started."""
        with self._lock:
            for each in Path("/proc").glob("[0-9]*/root"):
                if self._inside(each):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(each.parent.name), signal.SIGKILL)
            if self._adbd is not None:
                self._adbd.wait()

    def processes(self) -> list[str]:
        """Returns the command lines of the processes on the device, without adbd."""
        lines = []
        for each in Path("/proc").glob("[0-9]*/root"):
            if self._inside(each):
                with contextlib.suppress(OSError):  # it has ended
                    words = (each.parent / "cmdline").read_bytes().split(b"\0")
                    lines.append(b" ".join(words).decode(errors="replace").strip())
        return sorted(line for line in lines if line and not line.endswith("/adbd"))

    def path(self, path: str) -> Path:
        """Returns the path on this machine for a path of the device."""
        return self.root / path.lstrip("/")

    def _inside(self, link: Path) -> bool:
        try:
            return link.readlink() == self.root
        except OSError:  # it has ended
            return False


class Adb:
    """adb's server in this network, and its program for use outside."""

    def __init__(self, work: Path, packages: Path) -> None:
        self.socket = f"localfilesystem:{work}/adb.socket"
        self.program = work / "adb"
        libraries = packages / "usr/lib/x86_64-linux-gnu"
        # The server must only find this device: no emulators, nothing on the local network.
        self.program.write_text(
            f"#!/bin/sh\nexport LD_LIBRARY_PATH={libraries}/android:{libraries} HOME={work}\n"
            f"export ADB_SERVER_SOCKET={self.socket} ADB_EMU=0 ADB_MDNS=0\n"
            f'exec {packages}/usr/lib/android-sdk/platform-tools/adb "$@"\n'
        )
        self.program.chmod(0o755)

    def connect(self, port: int) -> None:
        """Connects a device to the server; the first call starts the server."""
        subprocess.run([self.program, "connect", f"127.0.0.1:{port}"], capture_output=True, timeout=30, check=True)


class Link:
    """A cable between the adb server and adbd, which can be slow, break, or stop."""

    def __init__(self, port: int, device: Device) -> None:
        self.port = port
        self.rate = 0
        self._device = device
        self._left: int | None = None
        self._then = ""
        self._stalled = threading.Event()
        link = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                link._carry(self.request)

        serve(port, Handler)

    def fault(self, after: int, then: str) -> None:
        """Sets the fault after a number of further bytes from the computer: kill, cut or stall."""
        self._stalled.clear()
        self._then, self._left = then, after

    def _carry(self, computer: socket.socket) -> None:
        try:
            device = socket.create_connection(("127.0.0.1", ADBD_PORT), timeout=5)
        except OSError:
            return
        device.settimeout(None)
        back = threading.Thread(target=self._pass, args=(device, computer, False), daemon=True)
        back.start()
        self._pass(computer, device, True)
        back.join()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if self.rate:
                    time.sleep(len(data) / self.rate)
                if counted and not self._allowed(len(data)):
                    break
                while self._stalled.is_set():
                    time.sleep(0.05)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _allowed(self, count: int) -> bool:
        if self._left is None:
            return True
        self._left -= count
        if self._left > 0:
            return True
        self._left = None
        if self._then == "kill":
            self._device.kill()
        elif self._then == "stall":
            self._stalled.set()
        return self._then != "cut"


def locked(port: int) -> int:
    """Answers adb like a phone whose owner has not allowed the computer yet: it requests another signature."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while header := self.rfile.read(24):
                self.rfile.read(struct.unpack("<6I", header)[3])
                token = os.urandom(20)
                command = struct.unpack("<I", b"AUTH")[0]
                self.wfile.write(struct.pack("<6I", command, 1, 0, 20, sum(token), command ^ 0xFFFFFFFF) + token)

    return serve(port, Handler)


def serve(port: int, handler: type[socketserver.BaseRequestHandler]) -> int:
    """Starts to listen on a port, and returns the port."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return port


def build(root: Path, packages: Path, arm: Path) -> Path:
    """Mounts the device's file system, visible here only, and returns its folder."""
    root.mkdir()
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root)
    for name in ("dev/pts", "proc", "sys", "data", "system", "tmp", "etc", "lib/x86_64-linux-gnu", "usr/lib", ".host"):
        (root / name).mkdir(parents=True)
    mount("-t", "tmpfs", "-o", f"size={STORAGE},mode=777", "tmpfs", root / "data")
    (root / "data/local/tmp").mkdir(parents=True)
    add_host_programs(root, packages, arm)
    add_android(root, packages)
    add_kernel(root)
    register_qemu(root)
    return root


def add_host_programs(root: Path, packages: Path, arm: Path) -> None:
    """Adds adbd and QEMU with their libraries, which a phone does not have."""
    libraries = root / "lib/x86_64-linux-gnu"
    for name, source in (("packages", packages), ("qemu", arm / arm64_root.HOST)):
        (root / ".host" / name).mkdir()
        mount("--bind", source, root / ".host" / name)
        for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"):
            for library in (source / folder).iterdir():
                link = libraries / library.name
                if not link.is_symlink():
                    link.symlink_to(f"/.host/{name}/{folder}/{library.name}")
    (root / "lib64").mkdir()
    (root / "lib64/ld-linux-x86-64.so.2").symlink_to("/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    (root / "usr/lib/x86_64-linux-gnu").symlink_to("/lib/x86_64-linux-gnu")
    (root / "usr/lib/android-sdk").symlink_to("/.host/packages/usr/lib/android-sdk")


def add_android(root: Path, packages: Path) -> None:
    """Adds the shell, the tools and the properties of a phone."""
    shutil.copytree(SYSTEM, root / "system", dirs_exist_ok=True)
    programs = root / "system/bin"
    for name in ("mksh", "toybox"):
        shutil.copy2(packages / "bin" / name, programs / name)
    (programs / "sh").symlink_to("mksh")
    (root / "bin").symlink_to("system/bin")
    libraries = packages / "lib/x86_64-linux-gnu"
    toybox = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, packages / "bin/toybox"]
    listed = subprocess.run(toybox, capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if not (programs / name).exists():
            (programs / name).symlink_to("toybox")
    (root / "etc/group").write_text("root:x:0:\nshell:x:2000:\n")
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\nshell:x:2000:2000:shell:/:/bin/sh\n")


def add_kernel(root: Path) -> None:
    """Adds the files of a phone's kernel: devices, processes, processors."""
    for name in ("null", "zero", "random", "urandom"):
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", root / "dev" / name)
    mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", root / "dev/pts")
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "proc", "proc", root / "proc")
    (root / "etc/cpuinfo").write_text(arm64_root.PROFILES["cortex-a76"].cpuinfo())
    (root / "etc/boot_id").touch()
    mount("--bind", root / "etc/cpuinfo", root / "proc/cpuinfo")
    mount("--bind", root / "etc/boot_id", root / "proc/sys/kernel/random/boot_id")
    cores = root / "sys/devices/system/cpu"
    for number in range(machine.cores()):
        core = cores / f"cpu{number}/cpufreq"
        core.mkdir(parents=True)
        (core / "cpuinfo_max_freq").write_text("2400000\n")
        (core / "scaling_governor").write_text("schedutil\n")
    for name in ("possible", "present"):
        (cores / name).write_text(f"0-{machine.cores() - 1}\n")


def register_qemu(root: Path) -> None:
    """Makes the kernel run aarch64 programs, in this user namespace only (Linux 6.7 and later)."""
    binfmt = root.parent / "binfmt"
    binfmt.mkdir()
    mount("-t", "binfmt_misc", "binfmt_misc", binfmt)
    (binfmt / "register").write_text(f":aarch64:M::{AARCH64}:{AARCH64_MASK}:/.host/qemu/usr/bin/qemu-aarch64:")


def link_up() -> None:
    """Switches this network's loopback on."""
    with socket.socket() as handle:
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def mount(*arguments: str | Path) -> None:
    """Mounts something in this namespace.

    Raises:
        SystemExit: the kernel does not allow it.
    """
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"This kernel forbids a virtual device: {' '.join(done.stderr.split())}")


def wait_for_port(port: int) -> None:
    """Waits until a process listens on the port, at most ten seconds."""
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit("adbd does not listen.")


def folder() -> Path:
    """Returns the folder of the device's packages: $TFKD_VIRTUAL_DEVICE, else one in tfkd's cache folder."""
    chosen = os.environ.get("TFKD_VIRTUAL_DEVICE")
    return Path(chosen).absolute() if chosen else machine.cache_folder() / "virtual_device"


def say(**answer: Any) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.exit(inside(*map(Path, sys.argv[2:])) if sys.argv[1:2] == ["inside"] else main())
