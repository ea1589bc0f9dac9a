"""A kit that runs LiteRT on a phone without NDK and without an app: Python, LiteRT and NumPy for ARM64 Linux.

It brings its own loader and C library, since Android has neither of glibc's. Android's kernel is Linux's, so these
programs run in adb's shell. The parts are those of the ARM64 root (tools/arm64/setup.py), whose packages are pinned.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tfkd import files, machine
from tfkd.benchmark.arm64 import root as arm64_root
from tfkd.benchmark.arm64.root import Root

ABI = "arm64-v8a"
_LEFT_OUT = frozenset(
    {"__pycache__", "test", "tests", "doc", "gconv", "ensurepip", "lib2to3", "idlelib", "f2py", "aot"}
)
_NOT_NEEDED = frozenset({"libLiteRtWebGpuAccelerator.so"})
_LIBRARIES = ("lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu")


def find() -> Root | None:
    """Returns the ARM64 root that the kit is made of, or None where it has not been assembled."""
    place = arm64_root.folder()
    return arm64_root.find(place) if (place / arm64_root.READY).exists() else None


def archive(root: Root) -> Path:
    """Returns a tar of the kit, which is made once a root; the same root gives the same bytes.

    Raises:
        RequestError: it cannot be written.
    """
    path = machine.cache_folder() / "android" / f"kit-{root.sources}.tar"
    if not path.is_file():
        with files.replacing(path) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
            for source, name in _parts(root):
                tar.add(source, name, recursive=False, filter=_anonymous)
    return path


def command(kit: str) -> str:
    """Returns the shell words that start the kit's Python in the folder that it was unpacked to."""
    libraries = ":".join(f"{kit}/{name}" for name in _LIBRARIES)
    environment = f"PYTHONHOME={kit}/usr PYTHONPATH={kit}/{arm64_root.SITE} PYTHONDONTWRITEBYTECODE=1"
    python = f"{kit}/lib/ld-linux-aarch64.so.1 --library-path {libraries} {kit}/usr/bin/python3.11 -S -P"
    return f"env {environment} {python}"


def _parts(root: Root) -> Iterator[tuple[Path, str]]:
    """Yields files with their names in the kit, in the order of the names; a link is what it points to."""
    guest = root.folder / arm64_root.GUEST
    tops = [(guest / name, name) for name in ("lib", "usr")]
    tops.append((root.folder / arm64_root.SITE, arm64_root.SITE))
    for top, name in tops:
        for path in sorted(top.rglob("*")):
            inside = PurePosixPath(name, *path.relative_to(top).parts)
            if path.is_file() and not _LEFT_OUT & set(inside.parts) and path.name not in _NOT_NEEDED:
                yield path.resolve(), str(inside)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member
