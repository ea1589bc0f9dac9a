"""Assembles the ARM64 root that `tfkd bench --target arm64` needs: python tools/arm64/setup.py

Downloads QEMU, Debian's arm64 Python and LiteRT's aarch64 wheel, pinned by hash in packages.lock and requirements.txt,
and unpacks them into one folder of 270 MB: $TFKD_ARM64, or arm64 in tfkd's cache folder. It needs no root rights, and
installs nothing outside. A folder that is up to date is not changed. The machine needs Linux on x86-64 with apt and
dpkg (Debian, Ubuntu), and a C compiler (Debian's package gcc).
"""

import argparse
import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfkd import files
from tfkd.benchmark.arm64 import root as arm64_root
from tfkd.errors import RequestError, TfkdError

HERE = Path(__file__).resolve().parent
PACKAGES, WHEELS, PLUGIN = HERE / "packages.lock", HERE / "requirements.txt", HERE / "count.c"
MIRROR = "http://deb.debian.org/debian"
APT_HELPER = Path("/usr/lib/apt/apt-helper")
PLATFORMS = ("manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
# Freestanding: QEMU runs with Debian's libc, but the machine's compiler may only have a newer one.
PLUGIN_FLAGS = "-std=c99 -O2 -Wall -Wextra -shared -fPIC -fvisibility=hidden -nostdlib -ffreestanding"
NETWORK = "Check the network. What a mirror has no more is at --mirror http://snapshot.debian.org/archive/debian/20261101T000000Z."
LIMIT = 1800  # seconds per step


def main() -> int:
    """Parses, assembles, and prints one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", default=MIRROR, help="Debian mirror with pool/ (default: %(default)s)")
    mirror = parser.parse_args().mirror
    try:
        print(assemble(arm64_root.folder(), mirror))
    except TfkdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def assemble(folder: Path, mirror: str) -> str:
    """Assembles the root, completely or not at all, and returns a line for the user.

    Raises:
        RequestError: the machine lacks something, or a step failed.
    """
    compiler = checked_machine()
    sources = files.fingerprint(
        *(path.read_text(encoding="utf-8") for path in (PACKAGES, WHEELS, PLUGIN, Path(__file__)))
    )
    with contextlib.suppress(RequestError):
        if arm64_root.find(folder).sources == sources:
            return f"{folder} is up to date."
    with files.replacing(folder) as partial:
        partial.mkdir()
        packages = list(pinned(PACKAGES.read_text(encoding="utf-8")))
        unpack(packages, mirror, partial)
        install(partial / arm64_root.SITE)
        say("compiling the plugin")
        run(
            [compiler, *PLUGIN_FLAGS.split(), "-o", str(partial / arm64_root.PLUGIN), str(PLUGIN)],
            "Name another C compiler in CC.",
        )
        ready = {"qemu": version_of("qemu-user", packages), "system": "Debian 12", "sources": sources}
        files.write_json(partial / arm64_root.READY, ready)
        say("starting LiteRT under QEMU")
        check_start(arm64_root.find(partial))
    return f"{folder} is ready."


def checked_machine() -> str:
    """Returns the C compiler.

    Raises:
        RequestError: the machine lacks something; names everything that is missing.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise RequestError(f"The ARM64 root needs Linux on x86-64, not {platform.system()} on {platform.machine()}.")
    compiler = next(filter(shutil.which, (os.environ.get("CC") or "cc", "gcc", "clang")), None)
    needed = {"apt": APT_HELPER.is_file(), "dpkg": shutil.which("dpkg-deb"), "gcc": compiler}
    if missing := " ".join(name for name, found in needed.items() if not found):
        raise RequestError(f"This machine lacks {missing}. On Debian or Ubuntu run `sudo apt-get install {missing}`.")
    assert compiler is not None
    return compiler


def pinned(lock: str) -> Iterator[tuple[str, str]]:
    """Yields SHA-256 and path on the mirror of every package that the text of packages.lock names."""
    for line in lock.splitlines():
        if line and not line.startswith("#"):
            digest, path = line.split()
            yield digest, path


def version_of(package: str, packages: Sequence[tuple[str, str]]) -> str:
    """Returns the upstream version of a Debian package, as 7.2 of qemu-user_7.2+dfsg-7_amd64.deb."""
    names = (path.rpartition("/")[2].split("_") for _, path in packages)
    full = next(version for name, version, _ in names if name == package)
    return full.partition("+")[0].rpartition("-")[0] or full.partition("+")[0]


def unpack(packages: Sequence[tuple[str, str]], mirror: str, folder: Path) -> None:
    """Downloads Debian packages, and unpacks each below the folder of its architecture.

    Raises:
        RequestError: a download failed or has another hash.
    """
    with tempfile.TemporaryDirectory() as downloads:
        archive = Path(downloads) / "package.deb"
        for number, (digest, path) in enumerate(packages, 1):
            say(f"Debian package {number} of {len(packages)}: {path.rpartition('/')[2]}")
            archive.unlink(missing_ok=True)
            source = [f"{mirror}/{path}", str(archive), f"SHA256:{digest}"]
            run([str(APT_HELPER), "-qq", "-o", "APT::Sandbox::User=root", "download-file", *source], NETWORK)
            architecture = path.removesuffix(".deb").rpartition("_")[2]
            run(["dpkg-deb", "--extract", str(archive), str(folder / architecture)], "Free some space.")


def install(site: Path) -> None:
    """Unpacks LiteRT's and NumPy's wheels for aarch64.

    Raises:
        RequestError: a download failed or has another hash.
    """
    say("LiteRT and NumPy")
    kind = ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11"]
    platforms = [f"--platform={name}" for name in PLATFORMS]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-deps",
    ]
    run([*pip, "--require-hashes", *kind, *platforms, "--target", str(site), "--requirement", str(WHEELS)], NETWORK)


def check_start(root: arm64_root.Root) -> None:
    """Imports LiteRT on every profile.

    Raises:
        RequestError: QEMU or a package does not work on this machine.
    """
    for processor in arm64_root.PROFILES.values():
        with tempfile.TemporaryDirectory() as job, tempfile.TemporaryDirectory() as work:
            program = Path(job) / "program.py"
            program.write_text("import ai_edge_litert.interpreter\n")
            command = root.command(processor, program, Path(job), Path(work))
            run(command, "Report it, with the name of this system.")


def run(command: Sequence[str], advice: str) -> None:
    """Runs a program.

    Raises:
        RequestError: it failed; states its error and the advice.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RequestError(f"{Path(command[0]).name} failed: {error}. {advice}") from None
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        reason = next((line for line in lines if line.startswith(("E:", "ERROR:"))), lines[-1])
        raise RequestError(f"{Path(command[0]).name} failed: {reason[:300]}. {advice}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
