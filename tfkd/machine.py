"""The machine that a run stands on: what of it can change a result or a latency."""

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
    """Keeps this process on `count` of its cores from number `first` on, where the system can do that.

    Two trainings side by side finish sooner when each stays on its own cores than when the system moves them about.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[first : first + count] or allowed)


def processor() -> str:
    """Returns the processor's name and those of its extensions on which the speed of int8 and of half precision hangs.

    The name alone tells little: virtual machines give one to processors of many kinds. ARM kernels give none, so the
    architecture stands in.
    """
    cpuinfo = Path("/proc/cpuinfo")
    told = described(cpuinfo.read_text(encoding="utf-8", errors="replace")) if cpuinfo.is_file() else ""
    return told or platform.processor() or platform.machine() or "unknown processor"


def described(cpuinfo: str) -> str:
    """Returns what Linux's /proc/cpuinfo tells of the first core: 'AMD EPYC (AVX2, AVX-512, VNNI)'."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name") or ("" if "Features" not in fields else platform.machine())
    flags = f"{fields.get('flags', '')} {fields.get('Features', '')}".split()
    extensions = list(dict.fromkeys(_EXTENSIONS[flag] for flag in _EXTENSIONS if flag in flags))
    return f"{name} ({', '.join(extensions)})" if name and extensions else name


def cache_folder() -> Path:
    """Returns where what was measured of this machine is kept for the next run, as the XDG base directories have it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfkd"


def libraries() -> dict[str, str]:
    """Returns the versions of the libraries that a run's results depend on."""
    return {name: version(name) for name in _SHOWN}


def environment() -> dict[str, str]:
    """Returns what the manifest says about the machine."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": str(cores()),
        **libraries(),
    }
