"""What an app relies on, in two bundles, and what is only to be noticed."""

import math
import re
from collections.abc import Iterator, Sequence

from tfkd.errors import counted, some
from tfkd.inputs.image.rendering import conversion
from tfkd.labels import LABELS
from tfkd.releases.classes import label_changes
from tfkd.releases.pairing import FilePair, ReleasePair
from tfkd.releases.reading import Release
from tfkd.releases.records import ContractChange, Part
from tfkd.releases.thresholds import rejection_changes, threshold_changes
from tfkd.verification.records import Tensor

_ROUNDING = 1e-6  # relative, of scales and ranges
_CARD = ("author", "license", "version", "description")
_VERSION = re.compile(r"(.+?) ([0-9]+(?:\.[0-9]+)*)")


def contract_changes(releases: ReleasePair) -> list[ContractChange]:
    """Returns every change of what an app relies on, and of what its developer should know."""
    old, new, files = releases.old, releases.new, releases.files
    return [
        *(_breaking("labels", text) for text in label_changes(releases.classes)),
        *_contradicting_labels(new),
        *_files(old, new, files),
        *_rendering(old, new),
        *_tensors("input", files),
        *_tensors("output", files),
        *threshold_changes(releases),
        *rejection_changes(files),
        *_runtimes(files),
        *_metadata(old, new),
    ]


def _breaking(part: Part, text: str) -> ContractChange:
    return ContractChange(part=part, text=text, breaks=True)


def _notice(part: Part, text: str) -> ContractChange:
    return ContractChange(part=part, text=text, breaks=False)


def _contradicting_labels(new: Release) -> Iterator[ContractChange]:
    if new.labels != tuple(new.manifest.data.classes):
        yield _breaking("labels", f"{LABELS} of the new bundle contradicts its manifest; run tfkd verify")


def _files(old: Release, new: Release, pairs: Sequence[FilePair]) -> Iterator[ContractChange]:
    kept, found = {pair.old.path for pair in pairs}, {pair.new.path for pair in pairs}
    reasons = {each.path: each.reason for each in new.manifest.missing}
    for artifact in old.manifest.artifacts:
        if artifact.path not in kept:
            why = f": {reasons[artifact.path]}" if artifact.path in reasons else ""
            yield _breaking("files", f"{artifact.path} is missing{why}")
    for pair in pairs:
        if pair.old.path != pair.new.path:
            yield _notice("files", f"{pair.old.path} is now {pair.new.path}; load it by this name")
    if added := [each.path for each in new.manifest.artifacts if each.path not in found]:
        yield _notice("files", f"new: {some(added, ', ')}")


def _rendering(old: Release, new: Release) -> Iterator[ContractChange]:
    if old.rendering != new.rendering:
        how = conversion(new.rendering) or "The model expects the image as it is."
        yield _breaking("input", f"the input rendering was {old.rendering}, it is {new.rendering}. {how}".rstrip("."))


def _tensors(part: Part, pairs: Sequence[FilePair]) -> Iterator[ContractChange]:
    """Yields a change for each difference, with all files that have it."""
    files: dict[str, list[str]] = {}
    for pair in pairs:
        tensors = (getattr(pair.old.io, part), getattr(pair.new.io, part))
        for text in _tensor_changes(*tensors):
            files.setdefault(text, []).append(pair.title)
    for text, names in files.items():
        whose = names[0] if len(names) == 1 else counted(len(names), "file")
        yield _breaking(part, f"{part} of {whose}: {text}")


def _tensor_changes(old: Tensor, new: Tensor) -> Iterator[str]:
    for name in ("name", "shape", "dtype"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield f"its {name} was {before}, it is {after}"
    quantization = [(each.scale, each.zero_point) for each in (old, new)]
    if not all(map(_close, *quantization)):
        yield f"its quantization was {_quantized(old)}, it is {_quantized(new)}"
    elif not _same_range(old.range, new.range):
        yield f"its values were {_range(old)}, they are {_range(new)}"


def _close(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old is new
    return math.isclose(old, new, rel_tol=_ROUNDING)


def _same_range(old: list[float] | None, new: list[float] | None) -> bool:
    if old is None or new is None:
        return True  # a bundle that does not state it
    return len(old) == len(new) and all(math.isclose(*ends, abs_tol=_ROUNDING) for ends in zip(old, new, strict=True))


def _quantized(tensor: Tensor) -> str:
    return "none" if tensor.scale is None else f"scale {tensor.scale:g} and zero point {tensor.zero_point}"


def _range(tensor: Tensor) -> str:
    return " to ".join(f"{end:g}" for end in tensor.range or ())


def _runtimes(pairs: Sequence[FilePair]) -> Iterator[ContractChange]:
    for pair in pairs:
        before, after = pair.old.min_runtime, pair.new.min_runtime
        if before == after:
            continue
        text = f"{pair.title} needs {after or 'an unknown runtime'}, it needed {before or 'an unknown one'}"
        yield _breaking("runtime", text) if _is_newer(before, after) else _notice("runtime", text)


def _is_newer(before: str | None, after: str | None) -> bool:
    """Returns whether a runtime is surely newer, or another one."""
    if before is None or after is None:
        return False
    parts = [_VERSION.fullmatch(each) for each in (before, after)]
    if parts[0] is None or parts[1] is None or parts[0][1] != parts[1][1]:
        return True
    old, new = ([int(number) for number in part[2].split(".")] for part in parts if part)
    return new > old


def _metadata(old: Release, new: Release) -> Iterator[ContractChange]:
    for name in _CARD:
        before, after = getattr(old.card, name), getattr(new.card, name)
        if before != after:
            yield _notice("metadata", f"the {name} was {before!r}, it is {after!r}")
