"""Measures the files of a fit on the target, twice in turn, and keeps every result.

A result is kept by the file's hash, the device and the settings, so that an interrupted fit measures only the rest.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.benchmark import budget, subject
from tfkd.benchmark.budget import Budget, TargetFigures
from tfkd.benchmark.driver import Listener
from tfkd.benchmark.options import RunnerOptions, Timing, names
from tfkd.benchmark.selecting import SelectedTarget, select_target
from tfkd.bundle.results import Device, Result
from tfkd.errors import MachineError, RequestError, counted
from tfkd.files import fingerprint, read_sealed, sha256, write_sealed
from tfkd.pipeline.fitting.files import FILE
from tfkd.progress import Say
from tfkd.recipe import Bench, Fit

ROUNDS = 2  # measurements of a latency; a count needs one
AT_A_TIME = 16  # files that a process holds
BUSY = 0.8  # processes per core before a measurement that disturb it
PROCESSES = 5  # of a measurement, whose latencies differ by the layout of their memory


@dataclass(frozen=True)
class FitTarget:
    """The target of a fit, with the budget on it.

    Attributes:
        text: as the user wrote it.
        selected: the target and its options.
        budget: the limits.
        threads: threads of an inference.
    """

    text: str
    selected: SelectedTarget
    budget: Budget
    threads: int

    def check(self) -> None:
        """Finds the device before anything is built.

        Raises:
            RequestError: the address or an option is wrong.
            MachineError: the device cannot be reached.
        """
        self.selected.module.check(self.selected.address, self.selected.options)

    @property
    def rounds(self) -> int:
        """How often each file is measured."""
        return ROUNDS if isinstance(self.selected.options, Timing) else 1


def target_of(settings: Fit, bench: Bench, options: Mapping[str, object]) -> FitTarget:
    """Returns the target of a fit.

    Args:
        settings: names the target and the limits.
        bench: how often files are timed.
        options: options of the target by name; `runs` and `warmup` are those of the recipe.

    Raises:
        RequestError: there is no such target or option, no limit, one that the target does not measure, or the target
            does not run the form that ships.
    """
    selected = select_target(settings.target, options)
    wanted = Budget(settings.limits)
    wanted.require_measured(selected)
    if budget.FORMAT not in selected.module.FORMATS:
        raise RequestError(f"The target {selected.name} runs no .{budget.FORMAT} file; name another one.")
    own = {"runs": bench.runs, "warmup": bench.warmup, "processes": PROCESSES, "threads": (1,)}
    read = {name: value for name, value in own.items() if name in names(type(selected.options))}
    selected = select_target(settings.target, {**read, **options})
    counts = selected.options.threads if isinstance(selected.options, RunnerOptions) else (1,)
    if len(counts) > 1:
        raise RequestError("--threads: a budget is for one number of threads; give it once.")
    return FitTarget(settings.target, selected, wanted, counts[0])


class Measurements:
    """The measurements of a fit's files, in a folder.

    Args:
        folder: where they are kept.
        target: where files are measured.
        say: shows progress.
    """

    def __init__(self, folder: Path, target: FitTarget, say: Say) -> None:
        self._folder = folder
        self._target = target
        self._say = say
        # A folder that was copied to another machine must not pass for measured there.
        here = [machine.processor(), machine.cores()] if target.selected.name == "host" else []
        self._settings = fingerprint(target.text, asdict(target.selected.options), here)
        self._digests: dict[Path, str] = {}

    def measure(self, files: Mapping[str, Path]) -> dict[str, TargetFigures]:
        """Returns the figures of files by name, after measuring what is missing.

        Raises:
            RequestError: the target cannot run a file.
            MachineError: the device or the machine did not let it be measured.
        """
        for number in range(self._target.rounds):
            while pending := self._pending(files, number):
                for start in range(0, len(pending), AT_A_TIME):
                    batch = pending[start : start + AT_A_TIME]
                    self._say(f"measuring {counted(len(batch), 'file')} on {self._target.text}, round {number + 1}")
                    self._measure_once({name: files[name] for name in batch})
        return {name: self._figures(path) for name, path in files.items()}

    def missing(self, files: Mapping[str, Path]) -> int:
        """Returns how many measurements of files are missing."""
        return sum(max(0, self._target.rounds - len(self._records(path))) for path in files.values())

    @property
    def device(self) -> str:
        """The name of the device; "" before the first measurement."""
        return str(self._device()["name"])

    def _measure_once(self, files: dict[str, Path]) -> None:
        names = {f"{number}.tflite": name for number, name in enumerate(files)}
        measured = subject.of_files({short: files[name] for short, name in names.items()})
        target = self._target.selected
        listener = Listener(on_device=self._remember, limits=self._target.budget.gates)
        found: list[Result] = target.module.bench(target.address, measured, target.options, self._quiet, listener)
        self._warn_if_busy(found)
        for short, name in names.items():
            results = [_unnamed(each) for each in found if each.artifact.path == short]
            if not results:
                raise MachineError(f"{self._target.text} gave no result for {name}. Measure it again.")
            path = files[name]
            write_sealed(self._path(path), {"name": name, "rounds": [*self._records(path), results]})

    def _warn_if_busy(self, results: list[Result]) -> None:
        load = max((each.device.before.load or 0.0 for each in results), default=0.0)
        if load > BUSY and any(each.latency_ms for each in results):
            self._say(
                f"  other work runs on {self._target.text} ({load:.1f} processes per core): latencies may be too long"
            )

    def _quiet(self, text: str) -> None:
        """Hides the steps of a measurement."""

    def _figures(self, path: Path) -> TargetFigures:
        return budget.measured(self._rounds(path), self._threads(path), path.stat().st_size)

    def _threads(self, path: Path) -> int:
        """Returns the number of threads to judge; 0 stands for all cores, the only number that was measured."""
        first = self._rounds(path)[0][0]
        return self._target.threads or first.threads or 1

    def _pending(self, files: Mapping[str, Path], number: int) -> list[str]:
        return [name for name, path in files.items() if len(self._records(path)) <= number]

    def _rounds(self, path: Path) -> list[list[Result]]:
        return [[Result.model_validate(each) for each in results] for results in self._records(path)]

    def _records(self, path: Path) -> list[list[dict[str, Any]]]:
        stored: dict[str, Any] = read_sealed(self._path(path)) or {}
        return stored.get("rounds", [])

    def _path(self, path: Path) -> Path:
        if path not in self._digests:
            self._digests[path] = sha256(path)
        key = fingerprint(self._digests[path], self._settings, self._device()["identity"])
        return self._folder / f"{key}.json"

    def _remember(self, device: Device, threads: tuple[int, ...]) -> None:
        identity = [device.maker, device.model, device.soc, device.os, device.build, device.abi]
        if identity != self._device()["identity"]:
            write_sealed(self._folder / f"device-{self._settings}.json", {"identity": identity, "name": device.name})

    def _device(self) -> dict[str, Any]:
        """Returns the device that the target was when it was last reached."""
        return read_sealed(self._folder / f"device-{self._settings}.json") or {"identity": None, "name": ""}


def _unnamed(result: Result) -> dict[str, Any]:
    """Returns a result as JSON under a name that does not depend on the other files."""
    artifact = result.artifact.model_copy(update={"path": FILE})
    return result.model_copy(update={"artifact": artifact}).model_dump(mode="json")
