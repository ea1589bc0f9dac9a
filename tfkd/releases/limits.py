"""Limits on the change from one bundle to the next, and the verdicts on it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import get_args

from tfkd import arguments
from tfkd.benchmark.gates import parse_fraction
from tfkd.benchmark.statistics import WIDEST
from tfkd.errors import RequestError, counted, some
from tfkd.releases.records import ContractChange, CostChange, FileChange, Part
from tfkd.verification.gates import most_allowed
from tfkd.verification.records import Gate

_ROUNDING = 1e-9  # of differences between fractions
_NEVER_BREAKS = ("metadata",)
_OF_IMAGES = ("max_negative_flips", "max_accuracy_drop")


@dataclass(frozen=True)
class DiffLimits:
    """Limits for every file that both bundles have, as fractions; None switches a limit off.

    Attributes:
        max_negative_flips: of the images that the old file predicts rightly, those that the new one does not.
        max_accuracy_drop: accuracy of the old file minus that of the new one.
        max_size_increase: bytes of the new file / bytes of the old one - 1.
        max_latency_increase: the same of latencies and instructions on the same device; above 0.
    """

    max_negative_flips: float | None = None
    max_accuracy_drop: float | None = None
    max_size_increase: float | None = None
    max_latency_increase: float | None = None

    def __post_init__(self) -> None:
        """Raises a RequestError for a limit that is no finite number, below 0, or above 1 for a fraction of images."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                arguments.number(field.name, value, most=1.0 if field.name in _OF_IMAGES else None)
        if self.max_latency_increase == 0:
            raise RequestError("max_latency_increase = 0 must be above 0: no two measurements are equal.")


@dataclass(frozen=True)
class Basis:
    """The examples that the verdicts are based on.

    Attributes:
        examples: how many show what the outputs mean.
        undecided: why they do not suffice for that; empty where they do.
        test_examples: of the bundles' own accuracies; None where these were measured on the examples of --data.
        comparable: why the accuracies of the files cannot be compared; empty where they can.
    """

    examples: int
    undecided: str
    test_examples: int | None
    comparable: str

    @property
    def remedy(self) -> str:
        """What to do where there are too few examples."""
        return "add more examples" if self.test_examples is None else "add --data, or more examples"


def limits_of(texts: dict[str, str | float | None]) -> DiffLimits:
    """Returns the limits of flags or arguments, each a fraction such as 0.01 or 1%.

    Raises:
        RequestError: one is no such fraction; names the flag.
    """
    found = {}
    for name, text in texts.items():
        if text is not None:
            try:
                most = 1.0 if name in _OF_IMAGES else None
                found[name] = 0.0 if _is_zero(str(text)) else parse_fraction(str(text), most)
            except RequestError as error:
                raise RequestError(f"--{name.replace('_', '-')}: {error}") from None
    return DiffLimits(**found)


def _is_zero(text: str) -> bool:
    return text.strip().removesuffix("%").strip("0.") == "" and "0" in text


def judge(limits: DiffLimits, changes: Iterable[ContractChange], files: list[FileChange], basis: Basis) -> list[Gate]:
    """Returns the verdicts on the contract, and on every limit that is on.

    Args:
        limits: the limits.
        changes: of the contract.
        files: that both bundles have.
        basis: the examples that they were compared on.
    """
    return [*_contract(list(changes), basis), *_of_files(limits, files, basis)]


def _contract(changes: list[ContractChange], basis: Basis) -> Iterator[Gate]:
    for part in get_args(Part):
        if part in _NEVER_BREAKS:
            continue
        of_part = [change for change in changes if change.part == part]
        broken = [change.text for change in of_part if change.breaks and change.judged]
        unsure = [change.text for change in of_part if change.breaks and not change.judged]
        if broken:
            yield _gate(f"contract/{part}", len(broken), 0, False, some(broken))
        elif unsure:
            yield _not_judged(f"contract/{part}", some(unsure))
        elif part == "meaning" and basis.undecided:
            yield _not_judged(f"contract/{part}", f"{basis.undecided}; {basis.remedy}")
        else:
            on = f"on {counted(basis.examples, 'example')}" if part == "meaning" else ""
            yield _gate(f"contract/{part}", 0, 0, True, on)


def _of_files(limits: DiffLimits, files: list[FileChange], basis: Basis) -> Iterator[Gate]:
    for file in files:
        name = file.new.path.rpartition("/")[2]
        if limits.max_negative_flips is not None:
            yield _negative_flips(f"max_negative_flips/{name}", limits.max_negative_flips, file, basis)
        if limits.max_accuracy_drop is not None:
            yield _accuracy_drop(f"max_accuracy_drop/{name}", limits.max_accuracy_drop, file, basis)
        if limits.max_size_increase is not None:
            increase = file.new.bytes / file.old.bytes - 1
            yield _at_most(f"max_size_increase/{name}", increase, limits.max_size_increase)
        if limits.max_latency_increase is not None:
            yield from _latency(f"max_latency_increase/{name}", limits.max_latency_increase, file)


def _negative_flips(name: str, limit: float, file: FileChange, basis: Basis) -> Gate:
    flips = file.negative_flips
    if flips is None:
        return _not_judged(name, file.not_run or f"no example was predicted by both files; {basis.remedy}")
    if flips.fraction is None:
        return _not_judged(name, "the old file predicts no example rightly")
    found = f"{flips.test.lost} of {counted(flips.right, 'example')} that the old file predicts rightly"
    if flips.test.lost <= 1 and 0 < limit * flips.right < 1:
        return _not_judged(name, f"{found}: too few to show a fraction of {limit:g}; {basis.remedy}")
    return _at_most(name, flips.fraction, limit, found)


def _accuracy_drop(name: str, limit: float, file: FileChange, basis: Basis) -> Gate:
    if file.old.accuracy is None or file.new.accuracy is None:
        return _not_judged(name, file.not_run or "it was not measured")
    if basis.comparable:
        return _not_judged(name, basis.comparable)
    most, why = most_allowed(limit, file.images if basis.test_examples is None else basis.test_examples)
    return _at_most(name, file.old.accuracy - file.new.accuracy, most, why)


def _latency(name: str, limit: float, file: FileChange) -> Iterator[Gate]:
    if file.old.sha256 == file.new.sha256:
        yield _at_most(name, 0.0, limit, "both are the same file")
        return
    judged = [cost for cost in file.costs if cost.quantity == "instructions" or not cost.emulated]
    if not judged:
        yield _not_judged(name, "no measurement of both files on the same device; run tfkd bench on both bundles")
    for cost in judged:
        yield _cost(f"{name} {title(cost)}", limit, cost)


def title(cost: CostChange) -> str:
    """Returns what was measured where, in a few words."""
    threads = "" if cost.threads is None else counted(cost.threads, "thread")
    return " ".join(part for part in (cost.quantity, threads, cost.delegate, cost.device) if part)


def _cost(name: str, limit: float, cost: CostChange) -> Gate:
    if cost.interval is None:
        return _not_judged(name, "too few samples to tell a change from noise; run tfkd bench on both", cost.ratio - 1)
    low, high = cost.interval
    written = f"95 % interval {100 * (low - 1):+.1f} % to {100 * (high - 1):+.1f} %" if low < high else ""
    if low <= 1 + limit <= high and high - low > WIDEST * limit:
        return _not_judged(name, f"too noisy: {written}; increase --runs of tfkd bench", cost.ratio - 1)
    return _at_most(name, cost.ratio - 1, limit, written)


def _at_most(name: str, value: float, limit: float, reason: str = "") -> Gate:
    return _gate(name, value, limit, value <= limit + _ROUNDING, reason)


def _gate(name: str, value: float, limit: float, passed: bool, reason: str = "") -> Gate:
    return Gate(name=name, value=value, limit=limit, passed=passed, reason=reason)


def _not_judged(name: str, reason: str, value: float | None = None) -> Gate:
    return Gate(name=name, value=value, limit=None, passed=False, verdict="not judged", reason=reason)
