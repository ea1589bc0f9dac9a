"""The thresholds that keep promised recalls, in two bundles, and what an app notices of the change."""

from collections.abc import Iterator, Sequence

from tfkd.releases.pairing import FilePair, ReleasePair
from tfkd.releases.reading import Release
from tfkd.releases.records import ContractChange
from tfkd.verification.records import Threshold


def threshold_changes(releases: ReleasePair) -> Iterator[ContractChange]:
    """Yields each change of a class that both bundles have; only a removed threshold breaks an app."""
    old, new = (_by_class(releases, each) for each in (releases.old, releases.new))
    for number in sorted({*old, *new} & {*range(len(releases.classes.old))} & {*releases.classes.of_new}):
        name, before, after = releases.classes.names[number], old.get(number), new.get(number)
        if before is not None and after is None:
            text = f"{name!r} has no threshold, it was {before.value:.8g} for a promised recall of {before.promise:.1%}"
            yield ContractChange(part="thresholds", text=text, breaks=True)
        elif before is None and after is not None:
            yield _notice(f"{name!r} had no threshold, it is {after.value:.8g}")
        elif before is not None and after is not None:
            yield from map(_notice, _differences(name, before, after))


def rejection_changes(files: Sequence[FilePair]) -> Iterator[ContractChange]:
    """Yields each change of the probability below which a file gives no label; only one that is gone breaks an app."""
    for pair in files:
        before, after = (each.least_probability for each in (pair.old, pair.new))
        if before != after:
            was, now = ("none" if each is None else f"{each:.8g}" for each in (before, after))
            text = f"the least probability of a label of {pair.title} was {was}, it is {now}"
            yield ContractChange(part="thresholds", text=text, breaks=after is None)


def _differences(name: str, before: Threshold, after: Threshold) -> Iterator[str]:
    if before.value != after.value:
        yield f"the threshold of {name!r} was {before.value:.8g}, it is {after.value:.8g}"
    if before.promise != after.promise:
        yield f"the promised recall of {name!r} was {before.promise:.1%}, it is {after.promise:.1%}"


def _by_class(releases: ReleasePair, release: Release) -> dict[int, Threshold]:
    """Returns the thresholds of a bundle that have a value, by the number of the class."""
    numbers = dict(zip(release.manifest.data.classes, releases.class_numbers(release).tolist(), strict=True))
    return {numbers[name]: each for name, each in release.manifest.thresholds.items() if each.value is not None}


def _notice(text: str) -> ContractChange:
    return ContractChange(part="thresholds", text=text, breaks=False)
