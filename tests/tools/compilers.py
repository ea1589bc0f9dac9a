"""Compilers for the apps' sources, kept in tfkd's cache folder: python -m tests.tools.compilers

Kotlin comes from npm, Android's org.json from Debian, Swift for Linux from Debian 13 (480 MB to download, unpacked
without root rights, run with its own C library). Tests fetch the first two themselves; Swift only by the line above.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tfkd import files, machine
from tfkd.errors import RequestError

SETUP = "python -m tests.tools.compilers"
MIRROR = "http://deb.debian.org/debian"
LIMIT = 1800  # seconds that one step may take

KOTLIN = "2.2.21"
KOTLIN_SHA256 = "0885d5546e3a18d8509ae99aaf735decc7b88e0c33fc0287b5f74bc085a7cff5"  # of kotlin-compiler.jar
JSON_PACKAGE = "pool/main/a/android-platform-libcore/libandroid-json-java_10.0.0+r36-1_all.deb"
JSON_SHA256 = "ec9df493b75f755eef1677ec9851b071e08400f3baee578cd6e4cbef840309e6"

SWIFT = "6.0.3-2"
# What the compiler, its linker and a linked program need; the C headers are for Foundation.
LIBRARIES = "libc6 libc6-dev linux-libc-dev libstdc++6 libgcc-s1 libtinfo6 libxml2 liblzma5 libuuid1 libzstd1 zlib1g"
SWIFT_PARTS = ("bin/swift-frontend", "bin/lld", "lib/clang/*", "lib/swift/*")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class MissingError(Exception):
    """A compiler is not available on this machine; the text is the reason."""


@dataclass(frozen=True)
class Kotlin:
    """The compiler for the Java virtual machine, with Android's own org.json."""

    folder: Path

    @property
    def libraries(self) -> str:
        """The class path of compiled programs."""
        return f"{self.folder / 'lib' / 'kotlin-stdlib.jar'}:{self.folder / 'json.jar'}"

    def compile(self, sources: Iterable[Path], destination: Path) -> subprocess.CompletedProcess[str]:
        """Compiles Kotlin against Java and Kotlin; warnings are errors."""
        compiler = ":".join(str(jar) for jar in sorted((self.folder / "lib").glob("*.jar")))
        settings = ["-no-stdlib", "-no-reflect", "-Werror", "-cp", self.libraries, "-d", str(destination)]
        return _captured(
            [
                *("java", "-Xmx1g", "-XX:TieredStopAtLevel=1", "-cp", compiler),
                *("org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", *settings, *map(str, sources)),
            ]
        )

    def run(self, classes: Path, main: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _captured(["java", "-cp", f"{classes}:{self.libraries}", main, *arguments])


@dataclass(frozen=True)
class Swift:
    """The compiler and linker for Linux."""

    folder: Path

    @property
    def _resources(self) -> Path:
        return self.folder / "usr/libexec/swift/lib/swift"

    @property
    def _system(self) -> Path:
        return self.folder / "usr/lib/x86_64-linux-gnu"

    def frontend(self, *arguments: str | Path, modules: Path) -> subprocess.CompletedProcess[str]:
        """Runs the compiler; warnings are errors.

        Args:
            arguments: mode, sources and so on.
            modules: folder of modules to import, and of the compiler's own cache.
        """
        return self._run(
            "swift-frontend",
            *arguments,
            *("-sdk", self.folder, "-resource-dir", self._resources, "-target", "x86_64-pc-linux-gnu"),
            *("-swift-version", "5", "-warnings-as-errors", "-I", modules, "-module-cache-path", modules / "cache"),
        )

    def link(self, objects: Iterable[Path], program: Path) -> subprocess.CompletedProcess[str]:
        names = ("Core", "SwiftOnoneSupport", "Glibc", "Dispatch", "_Concurrency", "_StringProcessing")
        swift = [self._resources / "linux" / f"libswift{name}.so" for name in names]
        foundation = [
            self._resources / "linux" / f"lib{name}.so" for name in ("Foundation", "FoundationEssentials", "dispatch")
        ]
        return self._run(
            "lld",
            *("-pie", "-o", program, "--dynamic-linker", self._loader, "--sysroot", self.folder),
            *(self._system / "Scrt1.o", self._system / "crti.o", self._resources / "linux/x86_64/swiftrt.o"),
            *(*objects, *swift, *foundation, self._system / "libc.so.6", self._system / "libm.so.6"),
            self._system / "crtn.o",
            name="ld.lld",
        )

    def run(self, program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs a linked program with the C library that it was linked with."""
        return _captured([*self._loaded, str(program), *map(str, arguments)])

    @property
    def _loader(self) -> Path:
        return self._system / "ld-linux-x86-64.so.2"

    @property
    def _loaded(self) -> list[str]:
        libraries = (self._system, self._resources / "linux", self._resources / "host")
        return [str(self._loader), "--library-path", ":".join(map(str, libraries))]

    def _run(self, tool: str, *arguments: str | Path, name: str | None = None) -> subprocess.CompletedProcess[str]:
        program = self.folder / "usr/libexec/swift/bin" / tool
        return _captured([*self._loaded, "--argv0", name or tool, str(program), *map(str, arguments)])


def kotlin() -> Kotlin:
    """Returns the Kotlin compiler, fetched if need be.

    Raises:
        MissingError: the machine lacks something, or a download failed.
    """
    _need("java", "npm", "dpkg-deb")
    folder = _cache() / f"kotlin-{KOTLIN}"
    if not folder.is_dir():
        with files.replacing(folder) as partial, tempfile.TemporaryDirectory() as temporary:
            downloads = Path(temporary)
            finish(["npm", "install", "--no-audit", "--no-fund", "--prefix", temporary, f"kotlin-compiler@{KOTLIN}"])
            _download(JSON_PACKAGE, JSON_SHA256, downloads / "json.deb")
            finish(["dpkg-deb", "--extract", str(downloads / "json.deb"), str(downloads / "json")])
            shutil.copytree(downloads / "node_modules" / "kotlin-compiler", partial)
            shutil.copy(downloads / "json/usr/share/java/com.android.json.jar", partial / "json.jar")
            _verified(partial / "lib" / "kotlin-compiler.jar", KOTLIN_SHA256)
    return Kotlin(folder)


def swift() -> Swift:
    """Returns the Swift compiler that `fetch_swift` has unpacked.

    Raises:
        MissingError: it has not.
    """
    folder = _cache() / f"swift-{SWIFT}"
    if not folder.is_dir():
        raise MissingError(f"no Swift compiler here: run `{SETUP}`")
    return Swift(folder)


def fetch_swift() -> None:
    """Unpacks Debian 13's Swift compiler; apt keeps its lists and downloads in a folder of their own.

    Raises:
        MissingError: the machine lacks something, or a download failed.
    """
    _need("apt-get", "dpkg-deb", "tar")
    folder = _cache() / f"swift-{SWIFT}"
    if folder.is_dir():
        return
    with files.replacing(folder) as partial, tempfile.TemporaryDirectory() as temporary:
        partial.mkdir()
        apt = _apt(Path(temporary))
        finish([*apt, "update"])
        packages = [f"swiftlang={SWIFT}", f"libswiftlang={SWIFT}", *LIBRARIES.split()]
        for package in packages:
            finish([*apt, "download", package], Path(temporary))
            archive = next(Path(temporary).glob("*.deb"))
            _unpack(archive, partial, package.startswith("swiftlang"))
            archive.unlink()
        shutil.rmtree(partial / "usr/libexec/swift/lib/swift/embedded", ignore_errors=True)


def _apt(folder: Path) -> list[str]:
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} trixie main\n")
    settings = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "APT::Sandbox::User": "root",
        "APT::Architecture": "amd64",
    }
    return ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]


def _unpack(archive: Path, folder: Path, partly: bool) -> None:
    """The compiler's package holds a debugger, a package manager and more, which are not needed here."""
    parts = ["--wildcards", *(f"./usr/libexec/swift/{part}" for part in SWIFT_PARTS)] if partly else []
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as contents:
        done = subprocess.run(
            ["tar", "-x", "-C", str(folder), *parts], stdin=contents.stdout, timeout=LIMIT, check=False
        )
    if done.returncode != 0 or contents.returncode != 0:
        raise MissingError(f"{archive.name} could not be unpacked")


def _download(path: str, sha256: str, destination: Path) -> None:
    helper = "/usr/lib/apt/apt-helper"
    options = ["-qq", "-o", "APT::Sandbox::User=root"]
    finish([helper, *options, "download-file", f"{MIRROR}/{path}", str(destination), f"SHA256:{sha256}"])


def _verified(path: Path, sha256: str) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise MissingError(f"{path.name} has another SHA-256 than the pinned one")


def _cache() -> Path:
    return machine.cache_folder() / "compilers"


def _need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise MissingError(f"this machine lacks {', '.join(missing)}")


def finish(command: list[str], folder: Path | None = None) -> None:
    """Runs a command to its end.

    Raises:
        MissingError: it cannot be run or failed; its text is the command's last line.
    """
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, cwd=folder, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{Path(command[0]).name}: {error}") from None
    if done.returncode != 0:
        last = next(iter(reversed((done.stderr or done.stdout).strip().splitlines())), "no message")
        raise MissingError(f"{Path(command[0]).name} failed: {last}")


def _captured(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


def main() -> int:
    """Fetches all compilers; returns 1 if one is not available."""
    try:
        kotlin()
        fetch_swift()
    except (MissingError, RequestError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Kotlin and Swift are in {_cache()}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
