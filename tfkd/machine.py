"""The machine: the properties that can change a result or a latency."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

_SHOWN = (
    "tensorflow",
    "keras",
    "tf-keras",
    "tensorflow-model-optimization",
    "numpy",
    "coremltools",
    "ai-edge-litert",
)

_EXTENSIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "VNNI",
    "avx512_vnni": "VNNI",
    "avx512_bf16": "BF16",
    "amx_int8": "AMX",
    "asimddp": "dot products",
    "i8mm": "I8MM",
    "sve": "SVE",
}


def cores() -> int:
    """Returns the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Returns the size of the machine's memory, bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def stay_on(first: int, count: int) -> None:
    """Pins this process to `count` of its cores from number `first`, if the system supports it.

    Side-by-side trainings are faster when each is pinned to its own cores.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[first : first + count] or allowed)


def processor() -> str:
    """Returns the processor's name and the ISA extensions that matter for int8 and fp16 speed.

    The name alone is not sufficient, because virtual machines use one name for many processors. ARM kernels have no
    name, so the architecture is used.
    """
    cpuinfo = Path("/proc/cpuinfo")
    name = described(cpuinfo.read_text(encoding="utf-8", errors="replace")) if cpuinfo.is_file() else ""
    return name or platform.processor() or platform.machine() or "unknown processor"


def described(cpuinfo: str) -> str:
    """Returns the first core of Linux's /proc/cpuinfo: 'AMD EPYC (AVX2, AVX-512, VNNI)'."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name") or ("" if "Features" not in fields else platform.machine())
    flags = f"{fields.get('flags', '')} {fields.get('Features', '')}".split()
    extensions = list(dict.fromkeys(_EXTENSIONS[flag] for flag in _EXTENSIONS if flag in flags))
    return f"{name} ({', '.join(extensions)})" if name and extensions else name


def cache_folder() -> Path:
    """Returns the cache folder for measurements of this machine, by the XDG base directories."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfkd"


def libraries() -> dict[str, str]:
    """Returns the versions of the libraries that a run's results depend on."""
    return {name: version(name) for name in _SHOWN}


def environment() -> dict[str, str]:
    """Returns the description of the machine in the manifest."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(cores()),
        **libraries(),
    }
