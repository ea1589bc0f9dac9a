"""A bench target for tests: the latency of a file is its size in milliseconds, and nothing is run."""

from tests.benchmark.conftest import result
from tfkd.benchmark import gates
from tfkd.benchmark.driver import Listener
from tfkd.benchmark.options import HostOptions
from tfkd.benchmark.subject import BenchSubject
from tfkd.bundle.results import Condition, Device, Result
from tfkd.errors import RequestError
from tfkd.progress import Say

FORMATS = ("tflite",)
LIMITS = gates.TIMES

CALLS: list[list[str]] = []  # hashes of the files of each call
SOC = ["desk"]
LOAD = [0.0]
FAILURES: list[Exception] = []


def check(address: str, options: HostOptions) -> None:
    if address:
        raise RequestError("The desk has no address.")


def bench(address: str, subject: BenchSubject, options: HostOptions, say: Say, listener: Listener) -> list[Result]:
    device = Device(soc=SOC[0], os="Desk", abi="x86_64", before=Condition(load=LOAD[0]))
    listener.on_device(device, (1,))
    if FAILURES:
        raise FAILURES.pop()
    CALLS.append([artifact.sha256 for artifact in subject.artifacts.values()])
    return [
        result([float(path.stat().st_size)] * 5, target="desk", device=device, artifact=subject.artifacts[name])
        for name, path in subject.paths.items()
    ]
