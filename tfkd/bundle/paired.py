"""What a manifest says of two networks on the same images must agree with what it says of each."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tfkd.bundle.manifest import Manifest, StudentEntry
from tfkd.bundle.verdicts import has_gate
from tfkd.verification.gates import NOT_WORSE_THAN_CONTROL
from tfkd.verification.records import Artifact, NegativeFlips, OrderAgreement, PairedTest
from tfkd.verification.truth import exact_test

_WHOLE = 1e-3  # images
_SINCE = "max_negative_flips"  # recipes have this gate since manifests count negative flips


@dataclass(frozen=True)
class _Pair:
    """Two networks on the same images.

    Attributes:
        name: of the field with their paired test.
        accuracy: of the network that is judged.
        other: accuracy of the one that it is compared with.
        images: how many.
    """

    name: str
    accuracy: float
    other: float
    images: int

    def contradictions(self, test: PairedTest) -> Iterator[str]:
        right, other = round(self.accuracy * self.images), round(self.other * self.images)
        if test.gained - test.lost != right - other or test.gained > right or test.lost > other:
            yield (
                f"{self.name} counts {test.gained} examples against {test.lost}, where the accuracies are "
                f"{self.accuracy} and {self.other}"
            )
        exact = exact_test(test.gained, test.lost, self.images)
        if not (_close(test.p_value, exact.p_value) and _close(test.worst_p_value, exact.worst_p_value)):
            yield f"{self.name} has p = {test.p_value:.6g}; its counts give {exact.p_value:.6g}"


def contradictions(manifest: Manifest) -> Iterator[str]:
    """Yields a sentence, without its full stop, for each contradiction."""
    yield from _against_control(manifest)
    yield from _against_teacher(manifest)
    yield from _orders(manifest)


def _against_control(manifest: Manifest) -> Iterator[str]:
    student, test = manifest.student, manifest.student.against_control
    if test is None:
        if student.control_accuracy is not None and has_gate(manifest, NOT_WORSE_THAN_CONTROL):
            yield "student.against_control is missing although there is a control"
    elif student.control_accuracy is None:
        yield "student.against_control is stated without a control"
    else:
        pair = _Pair("student.against_control", student.accuracy, student.control_accuracy, manifest.images)
        yield from pair.contradictions(test)


def _against_teacher(manifest: Manifest) -> Iterator[str]:
    student = manifest.student
    subjects: dict[str, StudentEntry | Artifact] = {"student.negative_flips": student}
    subjects |= {f"negative_flips of {each.path}": each for each in manifest.artifacts}
    teacher = manifest.teachers[0].accuracy if manifest.teachers else None
    for name, each in subjects.items():
        agreement = each.agreement if isinstance(each, Artifact) else each.agreement_with_teacher
        accuracy, flips = each.accuracy, each.negative_flips
        if accuracy is None or teacher is None or agreement is None:
            yield from [f"{name} is stated, but not both accuracies"] if flips is not None else []
        elif flips is not None:
            yield from _flips(_Pair(name, accuracy, teacher, manifest.images), flips, agreement, manifest.data.classes)
        elif has_gate(manifest, _SINCE):
            yield f"{name} is missing although the teacher was measured"


def _flips(pair: _Pair, flips: NegativeFlips, agreement: float, classes: list[str]) -> Iterator[str]:
    yield from pair.contradictions(flips.test)
    if flips.right != round(pair.other * pair.images):
        right = f"{flips.right} examples that the teacher predicts rightly"
        yield f"{pair.name} is of {right}; its accuracy is {pair.other}"
    if flips.test.lost + flips.test.gained > (1 - agreement) * pair.images + _WHOLE:
        yield f"{pair.name} counts more examples than the agreement {agreement} with the teacher allows"
    names = [each.label for each in flips.per_class]
    if len(set(names)) < len(names) or not set(names) <= set(classes):
        yield f"{pair.name} names a class twice, or one that is none of the classes"


def _orders(manifest: Manifest) -> Iterator[str]:
    """Yields contradictions of the agreement on the order of wrong classes."""
    student, classes = manifest.student, len(manifest.data.classes)
    measured = bool(manifest.teachers) and manifest.teachers[0].accuracy is not None
    found: list[tuple[str, OrderAgreement | None, bool]] = [
        ("wrong_classes", student.wrong_classes, measured),
        ("control_wrong_classes", student.control_wrong_classes, measured and student.control_accuracy is not None),
    ]
    for name, order, expected in found:
        if (order is not None and not expected) or (order is None and expected and has_gate(manifest, _SINCE)):
            yield f"student.{name} is {'missing' if expected else 'stated without its networks'}"
        if order is not None and (order.images > manifest.images or (classes == 2 and order.images)):
            yield f"student.{name} is of {order.images} examples, of {manifest.images} with {classes} classes"


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
