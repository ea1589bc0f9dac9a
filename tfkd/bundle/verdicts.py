"""The verdicts in a manifest, recomputed from its numbers and its recipe's limits by the code that gave them."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import ComparisonRow, Manifest, single
from tfkd.errors import RequestError
from tfkd.recipe import Gates
from tfkd.recipe.names import numbered
from tfkd.verification import VerifyError
from tfkd.verification.gates import STUDENT, TAUGHT, Measured, is_on, judge
from tfkd.verification.records import Gate

_ROUNDING = 1e-9  # relative; the same code computes the same numbers
_SINCE_0_1_0 = {"better_than_chance", "not_worse_than_control", "diagnosis", "max_half_shift"}  # on by default


def measured(manifest: Manifest) -> Measured:
    """Returns what the gates judge of a manifest: from this alone, `tfkd verify` recomputes the verdicts."""
    student, teachers = manifest.student, manifest.teachers
    return Measured(
        artifacts=manifest.artifacts,
        missing=manifest.missing,
        thresholds=manifest.thresholds,
        student=student.accuracy,
        teacher=teachers[0].accuracy if teachers else None,
        images=manifest.images,
        teachers={numbered("teacher", number): entry.chance for number, entry in enumerate(single(teachers))},
        control=student.control_accuracy,
        folds=manifest.folds,
        chance=student.folds.chance if student.folds else None,
        flips=student.negative_flips,
        scores=student.scores,
        recall_changes=student.recall_changes,
        paired=student.against_control,
        diagnosis=[each for each in manifest.diagnosis if not teachers or each.subject != STUDENT],
        size_ratio=_ratio([row.bytes for row in manifest.comparison], manifest.comparison),
        speed_ratio=_ratio([row.latency_ms for row in manifest.comparison], manifest.comparison),
    )


def has_gate(manifest: Manifest, name: str) -> bool:
    """Returns whether a stored recipe has a field of `Gates`; that of an older version may not."""
    gates = manifest.recipe.get("gates")
    return isinstance(gates, dict) and name in gates


def unknown(manifest: Manifest) -> list[str]:
    """Returns the gates that the version that made the bundle did not have."""
    return [name for name in Gates.model_fields if name != "switched_off_by" and not has_gate(manifest, name)]


def contradictions(manifest: Manifest) -> Iterator[str]:
    """Yields a sentence for each gate that is missing, too much, or stated otherwise than its numbers say.

    Raises:
        VerifyError: the recipe has no limits that are possible, or the manifest lacks a number that a gate needs.
    """
    stated = {gate.name: gate for gate in manifest.gates}
    right = {gate.name: gate for gate in judged(manifest)}
    for name, times in Counter(gate.name for gate in manifest.gates).items():
        if times > 1:
            yield f"the gate {name} is listed {times} times"
    for name in right.keys() - stated.keys():
        yield f"the gate {name} is missing, which its recipe requires"
    for name in stated.keys() - right.keys():
        yield f"the gate {name} is listed, which its recipe does not require"
    for name in stated.keys() & right.keys():
        if not _same(stated[name], right[name]):
            yield f"the gate {name} is stated as {_written(stated[name])}; by its numbers it is {_written(right[name])}"


def judged(manifest: Manifest) -> list[Gate]:
    """Returns the verdicts on a manifest's own numbers.

    Raises:
        VerifyError: the recipe has no limits that are possible, or the manifest lacks a number that a gate needs.
    """
    found = limits(manifest)
    try:
        gates = judge(found, measured(manifest))
    except RequestError as error:
        raise VerifyError(f"{MANIFEST}: its gates cannot be judged: {error}") from None
    if not _absent(manifest):
        return gates
    # Older versions had other defaults, and listed no gate that was off.
    return [gate for gate in gates if is_on(getattr(found, gate.name.partition("/")[0], True))]


def _ratio(values: Sequence[float], comparison: list[ComparisonRow]) -> float | None:
    """Returns the teacher's value over that of the student's small file: int8, or else dynamic; None without either."""
    by_variant = dict(zip([row.variant for row in comparison], values, strict=True))
    teacher, small = by_variant.get(TAUGHT), by_variant.get("student int8") or by_variant.get("student dynamic")
    return teacher / small if teacher and small else None


def _absent(manifest: Manifest) -> list[str]:
    """Returns the gates that are on by default, but not in a stored recipe; one that is off by default is off there."""
    defaults = Gates()
    return [name for name in unknown(manifest) if is_on(getattr(defaults, name))]


def limits(manifest: Manifest) -> Gates:
    """Returns the gates of a manifest's recipe.

    Raises:
        VerifyError: the recipe has no limits that are possible.
    """
    absent = _absent(manifest)
    off = {name: False if Gates.model_fields[name].annotation is bool else None for name in unknown(manifest)}
    stored: Any = manifest.recipe.get("gates")
    if absent and (set(absent) != _SINCE_0_1_0 or any(artifact.chance for artifact in manifest.artifacts)):
        raise VerifyError(f"{MANIFEST}: recipe.gates: does not say whether {absent[0]} is on.")
    try:
        return Gates.model_validate({**off, **(stored if isinstance(stored, dict) else {})})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("recipe", "gates", *first["loc"])))
        raise VerifyError(f"{MANIFEST}: {place}: {first['msg']}.") from None


def _same(stated: Gate, right: Gate) -> bool:
    numbers = ((stated.value, right.value), (stated.limit, right.limit))
    return stated.verdict == right.verdict and all(_close(one, other) for one, other in numbers)


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def _written(gate: Gate) -> str:
    value, limit = ("none" if each is None else f"{each:.6g}" for each in (gate.value, gate.limit))
    return f"{gate.verdict} (value {value}, limit {limit})"
