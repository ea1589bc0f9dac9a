"""The user's benchmark binary on an Android device: TFLite's or LiteRT's, recognised by its output."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tfkd import files
from tfkd.benchmark import programs
from tfkd.benchmark.android import benchmark_model
from tfkd.benchmark.android.adb import Phone
from tfkd.benchmark.android.session import RUN, Session
from tfkd.benchmark.programs import ChildError
from tfkd.bundle.results import Runtime
from tfkd.errors import RequestError

_AARCH64_ELF = b"\x7fELF\x02\x01"
_MACHINE = slice(18, 20)
_AARCH64 = (183).to_bytes(2, "little")


@dataclass(frozen=True)
class Tool:
    """The user's binary on a device.

    Attributes:
        path: of the binary on this machine.
        remote: its path on the device.
        session: the session on the device.
        patience: seconds without printed line or processor time after which a process is ended.
        litert: whether it is LiteRT's tool, whose options differ from TFLite's.
    """

    path: Path
    remote: str
    session: Session
    patience: float
    litert: bool = False

    @property
    def runtime(self) -> Runtime:
        """The binary's name and hash; it prints no version."""
        return Runtime(name=self.path.name, version=f"sha256:{files.sha256(self.path)[:12]}")

    def run(self, graph: str, threads: int, delegate: str, **options: str | int | float) -> str:
        """Runs one process and returns its log.

        Args:
            graph: path of the file on the device.
            threads: of the CPU.
            delegate: a name of `DELEGATES`.
            options: further options of the tool.

        Raises:
            RequestError: it failed.
            MachineError: it gave no sign of life for too long, or the device failed.
        """
        flags = {"graph": graph, "num_threads": threads, **self._delegation(delegate), **options}
        words = " ".join(f"--{name}={value}" for name, value in flags.items())
        output: list[str] = []
        try:
            output.extend(programs.living(self.session.watched(f"{self.remote} {words}"), self.patience))
        except ChildError as error:
            raise _failed(self.session.phone, self.path, "".join(output), error) from None
        return "".join(output)

    def _delegation(self, delegate: str) -> dict[str, str]:
        if delegate != "cpu":
            return {f"use_{delegate}": "true"}
        return {"use_cpu": "true"} if self.litert else {"use_xnnpack": "true"}

    def fetched(self, remote: str) -> bytes | None:
        """Returns the content of a file that the tool wrote on the device; None where it is empty or missing."""
        phone = self.session.phone
        if not phone.shell(f"[ ! -s {remote} ] || echo there").strip():
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fetched"
            phone.pull(remote, path)
            return path.read_bytes()


def installed(session: Session, binary: Path, patience: float) -> Tool:
    """Copies a binary to the device, and finds out which of the two tools it is.

    Args:
        session: the device.
        binary: a program for Android on ARM64.
        patience: seconds without a sign of life after which a process is ended.

    Raises:
        RequestError: it is no such program.
    """
    _check_binary(binary)
    remote = session.store(binary)
    session.phone.shell(f"chmod 755 {remote}")
    # Neither tool ends with code zero after its help in every version.
    printed = session.phone.shell(f"cd {RUN} && {{ {remote} --help 2>&1 | head -c 100000; }}; true")
    return Tool(binary, remote, session, patience, benchmark_model.is_litert(printed))


def _check_binary(binary: Path) -> None:
    try:
        with binary.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise RequestError(f"Cannot read {binary}: {error.strerror}. Name a benchmark_model binary.") from None
    if head.startswith(b"#!"):
        return
    if not head.startswith(_AARCH64_ELF) or head[_MACHINE] != _AARCH64:
        raise RequestError(f"{binary} is no program for Android on ARM64. Take benchmark_model for android_arm64.")


def _failed(phone: Phone, binary: Path, log: str, error: ChildError) -> RequestError:
    try:
        benchmark_model.read_log(log)
    except RequestError as explanation:
        return RequestError(f"{explanation} ({binary.name} ended with code {error.code} on {phone.serial}.)")
    return RequestError(
        f"{binary.name} ended with code {error.code} on {phone.serial} after it had measured. Try again."
    )
