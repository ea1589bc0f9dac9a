"""The ARM64 machine in a folder: QEMU with its libraries, Debian's arm64 Python, LiteRT, and the counting plugin.

`tools/arm64/setup.py` assembles the folder; this module says where it lies and how a program is started in it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tfkd import machine
from tfkd.errors import RequestError

SETUP = "python tools/arm64/setup.py"

HOST, GUEST, SITE, PLUGIN, READY = "amd64", "arm64", "site", "count.so", "ready.json"
"""In the root: Debian packages of either architecture, Python packages, the plugin, and what is written last."""
LOG = "log.txt"
"""In a program's folder: what the plugin wrote."""

_ENVIRONMENT = {
    "LC_ALL": "C",  # the only locale that is not read from the host's files
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": "/site",
}


@dataclass(frozen=True)
class Processor:
    """A core that QEMU plays, as its instruction set and Linux's /proc/cpuinfo show it.

    Attributes:
        title: the core's name.
        qemu: QEMU's name for it.
        part: part number in the main ID register (MIDR_EL1), by which XNNPACK chooses its kernels.
        features: what Linux calls its extensions.
    """

    title: str
    qemu: str
    part: int
    features: str

    def cpuinfo(self) -> str:
        """Returns /proc/cpuinfo of a machine with one such core."""
        lines = {
            "processor": "0",
            "Features": self.features,
            "CPU implementer": "0x41",
            "CPU architecture": "8",
            "CPU variant": "0x0",
            "CPU part": f"{self.part:#x}",
            "CPU revision": "0",
        }
        return "".join(f"{key}\t: {value}\n" for key, value in lines.items()) + "\n"


_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32"
PROFILES = {
    "cortex-a53": Processor("Cortex-A53", "cortex-a53", 0xD03, f"{_ARMV8} cpuid"),
    "cortex-a76": Processor(
        "Cortex-A76", "cortex-a76", 0xD0B, f"{_ARMV8} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
    ),
}
"""Two ends of the phones in use: ARMv8.0 with neither dot products nor half precision, and ARMv8.2 with both."""


@dataclass(frozen=True)
class Root:
    """A folder that is ready for use.

    Attributes:
        folder: of the assembled parts.
        qemu: version of QEMU.
        system: name and version of the system whose Python runs.
        sources: fingerprint of what the root was made from.
    """

    folder: Path
    qemu: str
    system: str
    sources: str

    def command(self, processor: Processor, program: Path, job: Path, work: Path, counting: bool = True) -> list[str]:
        """Returns the command that runs a Python program on ARM64.

        What the program can see is the same in every run and on every machine: its paths, its environment, its one
        core. A longer path or a cached .pyc would move what lies on the heap, and with it, by an instruction or two,
        what copying it costs.

        Args:
            processor: the core to play.
            program: a Python file; its argument is /job.
            job: a folder that the program sees as /job. What it writes there must exist before.
            work: an empty folder, for what QEMU needs; the plugin's log is LOG in it.
            counting: whether the plugin counts instructions.
        """
        self._lay_out(processor, program, job, work / "root")
        host = self.folder / HOST
        libraries = f"{host}/lib/x86_64-linux-gnu:{host}/usr/lib/x86_64-linux-gnu"
        environment = ["env", "-i", f"--chdir={work}", *(f"{name}={value}" for name, value in _ENVIRONMENT.items())]
        # Debian's own loader and libc start QEMU, whatever the machine at hand has.
        qemu = [f"{host}/lib64/ld-linux-x86-64.so.2", "--library-path", libraries, f"{host}/usr/bin/qemu-aarch64"]
        plugin = ["-plugin", str(self.folder / PLUGIN), "-d", "plugin", "-D", LOG] if counting else []
        python = ["-0", "/usr/bin/python3.11", "root/usr/bin/python3.11", "-S", "-P", "/program.py", "/job"]
        return [*environment, *qemu, "-L", "root", "-cpu", processor.qemu, *plugin, *python]

    def _lay_out(self, processor: Processor, program: Path, job: Path, root: Path) -> None:
        """Lays out what the program finds before it would find the host's: Debian, and one core of the right kind."""
        contents = {name: self.folder / GUEST / name for name in ("lib", "usr")}
        contents |= {"site": self.folder / SITE, "program.py": program, "job": job}
        cores = "sys/devices/system/cpu"
        written = {"proc/cpuinfo": processor.cpuinfo(), f"{cores}/possible": "0\n", f"{cores}/present": "0\n"}
        written |= {"etc/ld.so.cache": ""}
        for name, content in written.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        for name, path in contents.items():
            (root / name).symlink_to(path.absolute())


def folder() -> Path:
    """Returns where the root lies: $TFKD_ARM64, else in tfkd's cache folder."""
    override = os.environ.get("TFKD_ARM64")
    return Path(override).absolute() if override else machine.cache_folder() / "arm64"


def find(place: Path) -> Root:
    """Returns the root in a folder, `folder()` mostly.

    Raises:
        RequestError: it has not been assembled there.
    """
    try:
        ready = json.loads((place / READY).read_text(encoding="utf-8"))
        return Root(place.absolute(), ready["qemu"], ready["system"], ready["sources"])
    except FileNotFoundError:
        raise RequestError(f"There is no ARM64 root at {place}. Run `{SETUP}` once in a checkout of tfkd.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise RequestError(f"{place / READY} is damaged. Run `{SETUP}` again in a checkout of tfkd.") from None
