"""Why a classifier is wrong: labels in another order, another normalization, no training, or other classes.

A cause is a hypothesis that is tried on examples: the same network with another order of labels, another normalization,
or both. It is proposed with its evidence, and only where the examples that did not suggest it show that it is better
than the stated settings. Nothing is ever applied.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.data.dataset import Dataset
from tfkd.files import read_sealed, write_sealed, write_text
from tfkd.inputs.kind import InputKind, Normalization
from tfkd.kernels.keras_private import layers_of
from tfkd.labels import relabelled
from tfkd.models import is_own
from tfkd.recipe import Decoupled, Dist, Distill, Normalized, Schedule, SoftTargets, Teacher
from tfkd.signature import Signature
from tfkd.teachers import RawClassifier
from tfkd.verification.hypotheses import (
    LEAST_SKILL,
    Hypothesis,
    balanced_accuracy,
    is_refuted,
    is_refuted_by_one_class,
    orders,
    skill,
    supported,
)
from tfkd.verification.records import Diagnosis
from tfkd.verification.truth import chance_test, significant
from tfkd.writers import samples

MOST_IMAGES = 400
BATCH = 64
SKILL_OF_TRAINED = 0.8  # LEAST_SKILL where the weights look untrained
SKILL_OF_RANDOM = 0.5  # more than random weights reach, which distinguish some images by their colours
SUSPICIOUS = 0.9  # balanced accuracy below which other normalizations are tried
ONE_CLASS = 0.9  # fraction of images with the same predicted class above which a network distinguishes nothing
FLAT = 0.95  # fraction of the entropy of guessing above which soft labels contain almost no information
FEW_STEPS, FEW_STEPS_OF_TRAINED = 1_000, 300  # of a training from random and from trained weights
_NAMED_CLASSES = 6  # in a sentence


@dataclass(frozen=True)
class Wording:
    """How a proposal is written: as flags of `tfkd export` or as fields of a recipe.

    Attributes:
        normalization: writes a normalization's words.
        labels: writes the names of the outputs, in their order.
    """

    normalization: Callable[[str], str]
    labels: Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class DiagnosisSubject:
    """A classifier that is diagnosed.

    Attributes:
        name: as messages name it.
        predict: raw inputs [b, ...] to logits or probabilities, float [b, outputs].
        normalization: what `predict` does to raw values; None where they are not normalized.
        names: of the outputs, in their order.
        wording: of proposals.
        kind: of its input.
        normalization_is_known: as that of a named teacher; no other is tried.
        weights: evidence that the network was never trained, "" where there is none.
        fine_tuning: the field of the recipe by which tfkd fine-tuned it on these classes, "" where it did not.
    """

    name: str
    predict: Callable[[np.ndarray], np.ndarray]
    normalization: Normalization | None
    names: Sequence[str]
    wording: Wording
    kind: InputKind
    normalization_is_known: bool = False
    weights: str = ""
    fine_tuning: str = ""


def subject_of(
    teacher: Teacher, number: int, classifier: RawClassifier, data: Dataset, proposed: Path
) -> DiagnosisSubject:
    """Returns a teacher as a subject.

    Args:
        teacher: the recipe's part.
        number: its place in the recipe.
        classifier: from raw inputs to logits of the classes.
        data: with these classes.
        proposed: where proposed labels are written.
    """

    def labelled(names: Sequence[str]) -> str:
        return f"teachers.{number}.labels={write_labels(proposed, relabelled(teacher.labels, data.classes, names))}"

    model, is_trained = classifier.model, classifier.is_trained
    return DiagnosisSubject(
        teacher.model,
        classifier.predict,
        data.kind.normalization(teacher.normalization, f"teachers.{number}.normalization"),
        data.classes,
        Wording(lambda words: f"teachers.{number}.normalization={words}", labelled),
        data.kind,
        normalization_is_known=not is_own(teacher.model),
        weights="" if is_trained or model is None else initial_weights(model),
        fine_tuning=f"teachers.{number}.fine_tune" if is_trained else "",
    )


def probe_images(
    data: Dataset, signature: Signature, seed: int, splits: Sequence[str] = ("test", "validation", "train")
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a few hundred labelled examples, raw [n, ...] as golden files hold them, and their classes, int64 [n].

    Where the first split has few, those of the next ones are added. With folds, all splits are the same.
    """
    images, labels, missing = [], [], MOST_IMAGES
    for split in (getattr(data, name) for name in (splits[:1] if data.is_pooled else splits)):
        if missing > 0 and len(split):
            examples, positions = samples.examples(split, signature, missing, seed)
            images.append(examples)
            labels.append(split.labels[positions])
            missing -= len(positions)
    return np.concatenate(images), np.concatenate(labels)


def diagnose(subject: DiagnosisSubject, examples: np.ndarray, labels: np.ndarray) -> list[Diagnosis]:
    """Returns the likely causes of a low accuracy, the best supported first; empty where none is found.

    Args:
        subject: the classifier.
        examples: raw [n, ...].
        labels: int64 [n], the number of each example's class among `subject.names`.
    """
    hypotheses = list(_hypotheses(subject, examples, labels))
    # Random weights may fit some order of the labels a little; none makes them a good classifier.
    plausible = supported(hypotheses, labels, SKILL_OF_TRAINED if subject.weights else LEAST_SKILL)
    level = balanced_accuracy(labels, hypotheses[0].classes)
    if subject.weights and not plausible and skill(level, labels) < SKILL_OF_RANDOM:
        text = f"{subject.name} was never trained: {subject.weights}."
        return [Diagnosis(subject=subject.name, cause="untrained", evidence=text, proposal=_TRAINED)]
    if plausible:
        return [_described(subject, each, hypotheses[0], labels) for each in plausible]
    return list(_nothing_helps(subject, hypotheses, labels))


def temperatures(distill: Distill, chosen: float | None = None) -> list[tuple[int, float]]:
    """Returns the place and the highest temperature of every loss on softened probabilities.

    Args:
        distill: with the losses.
        chosen: what a training chose for "auto"; None leaves these losses out.
    """
    kinds = (SoftTargets, Decoupled, Normalized, Dist)
    found = []
    for place, loss in enumerate(distill.losses):
        if isinstance(loss, kinds):
            value = chosen if isinstance(loss.temperature, str) else loss.temperature
            if value is not None:
                found.append((place, max(value.start, value.end) if isinstance(value, Schedule) else value))
    return found


def read_or_diagnose(path: Path, version: int, find: Callable[[], list[Diagnosis]]) -> list[Diagnosis]:
    """Returns what an earlier call found by rules of the same version, or looks for causes and keeps them in a file.

    Args:
        path: of the file.
        version: of the rules.
        find: looks for causes.
    """
    record = read_sealed(path)
    if isinstance(record, dict) and record.get("version") == version:
        return [Diagnosis.model_validate(each) for each in record["found"]]
    found = find()
    write_sealed(path, {"version": version, "found": [each.model_dump(mode="json") for each in found]})
    return found


def write_labels(path: Path, names: Sequence[str]) -> Path:
    """Writes proposed labels, one per line, beside the run that they were found in."""
    write_text(path, "".join(f"{name}\n" for name in names))
    return path


def is_suspicious(labels: np.ndarray, classes: np.ndarray) -> bool:
    """Tells whether predicted classes are so often wrong that it is worth trying other normalizations."""
    return balanced_accuracy(labels, classes) < SUSPICIOUS


def order_of_labels(subject: DiagnosisSubject, scores: np.ndarray, labels: np.ndarray) -> list[Diagnosis]:
    """Returns the causes that predictions at hand support: labels in another order.

    Args:
        subject: the classifier; it is not run.
        scores: float [n, outputs], its logits or probabilities.
        labels: int64 [n], the true classes.
    """
    hypotheses = list(orders(subject.names, scores, labels, None))
    return [_described(subject, each, hypotheses[0], labels) for each in supported(hypotheses, labels)]


def initial_weights(model: Any) -> str:
    """Returns the evidence that a Keras model's weights are as they were drawn, "" where they were trained.

    A training moves biases and BatchNorm statistics away from their initial 0 and 1 at once.
    """
    import keras

    statistics, biases = [], []
    for layer in layers_of(model, include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            statistics.append(not np.any(layer.moving_mean) and bool(np.all(np.asarray(layer.moving_variance) == 1)))
        bias = getattr(layer, "bias", None)
        if bias is not None and hasattr(bias, "shape"):
            biases.append(not np.any(np.asarray(bias)))
    if statistics and all(statistics):
        return "all of its BatchNorm statistics have their initial values"
    if biases and all(biases) and not statistics:
        return "all of its biases are 0, their initial value"
    if biases and biases[-1] and _ends_in_bias(model):
        return "the bias of its last layer is 0, its initial value"
    return ""


_TRAINED = "the file that the training wrote, or fine-tuning"


def _ends_in_bias(model: Any) -> bool:
    weighted = [layer for layer in layers_of(model, include_self=False) if layer.weights]
    last = [layer for layer in weighted if not hasattr(layer, "layers")][-1]
    return getattr(last, "bias", None) is not None


def _hypotheses(subject: DiagnosisSubject, examples: np.ndarray, labels: np.ndarray) -> Iterator[Hypothesis]:
    """Yields the stated settings, then every other order of labels and every other normalization."""
    yield from orders(subject.names, _predicted(subject, examples, None), labels, None)
    for other in [] if subject.normalization_is_known else subject.kind.other_normalizations(subject.normalization):
        yield from orders(subject.names, _predicted(subject, examples, other), labels, other)


def _predicted(subject: DiagnosisSubject, examples: np.ndarray, other: Normalization | None) -> np.ndarray:
    def batches() -> Iterator[np.ndarray]:
        for start in range(0, len(examples), BATCH):
            raw = examples[start : start + BATCH].astype(np.float32)
            if other is not None and subject.normalization is not None:
                raw = subject.normalization.undone(other(raw))
            yield subject.predict(raw)

    return np.concatenate(list(batches()))


def _described(
    subject: DiagnosisSubject, equals: list[Hypothesis], stated: Hypothesis, labels: np.ndarray
) -> Diagnosis:
    """Describes the first of hypotheses that explain the same."""
    found = equals[0]
    reached, level = (balanced_accuracy(labels, each.classes) for each in (found, stated))
    causes, proposals = [], []
    labels_in_order = [subject.names[number] for number in np.argsort(found.order)] if found.order else []
    if found.normalization is not None:
        proposals.append(subject.wording.normalization(found.normalization.text))
        causes.append(f"{subject.kind.values} as by {proposals[-1]}")
    if found.order is not None:
        causes.append(_order_described(subject.names, found))
        proposals.append(subject.wording.labels(labels_in_order))
    wrong = [subject.kind.values] * (found.normalization is not None) + ["labels"] * (found.order is not None)
    measured = f"{reached:.0%} of {len(labels)} examples instead of {level:.0%} (mean over the classes)"
    return Diagnosis(
        subject=subject.name,
        cause=" and ".join(wrong),
        evidence=f"With {' and '.join(causes)}, {subject.name} is right for {measured}{_as_good(equals)}.",
        proposal=" ".join(proposals),
        normalization=found.normalization.text if found.normalization else None,
        labels=labels_in_order,
    )


def _as_good(equals: list[Hypothesis]) -> str:
    first, *others = dict.fromkeys(each.normalization.text for each in equals if each.normalization) or [""]
    return f"; the same with {' or '.join(others)}" if first and others else ""


def _order_described(names: Sequence[str], found: Hypothesis) -> str:
    order = found.order or ()
    moved = [number for number, output in enumerate(order) if number != output]
    cycles = _cycles(order)
    if len(cycles) <= 2 and all(len(cycle) == 2 for cycle in cycles):
        swaps = [f"{first} ({names[first]}) and {second} ({names[second]})" for first, second in cycles]
        return f"outputs {' as well as '.join(swaps)} swapped"
    if found.kind != "matched":
        return f"its outputs {found.kind}"
    if len(moved) <= _NAMED_CLASSES:
        owners = np.argsort(order)
        description = ", ".join(f"{number} is {names[owners[number]]}" for number in moved)
        return f"outputs in another order ({description})"
    return f"{len(moved)} of {len(order)} outputs in another order"


def _cycles(order: Sequence[int]) -> list[list[int]]:
    """Returns the cycles of a permutation that move something."""
    left, cycles = {number for number, output in enumerate(order) if number != output}, []
    while left:
        cycle = [min(left)]
        while (following := order[cycle[-1]]) != cycle[0]:
            cycle.append(following)
        left -= set(cycle)
        cycles.append(cycle)
    return cycles


def _nothing_helps(subject: DiagnosisSubject, hypotheses: list[Hypothesis], labels: np.ndarray) -> Iterator[Diagnosis]:
    """Yields what can be said where no order of labels and no normalization make the classifier better.

    On few images a classifier at chance may still be a fair one: nothing is said before that is refuted.
    """
    in_order = [each for each in hypotheses if each.order is None]
    fraction = min(float(np.bincount(each.classes).max()) / len(labels) for each in in_order)
    best = max(balanced_accuracy(labels, each.classes) for each in hypotheses)
    if significant(chance_test(labels, hypotheses[0].classes).p_value):
        return
    ways = "" if subject.normalization_is_known else f" with any of {len(in_order)} normalizations"
    if fraction >= ONE_CLASS and is_refuted_by_one_class(fraction, labels):
        found = f"gives the same class for {fraction:.0%} of {len(labels)} examples{ways}"
        yield _without_skill(subject, found, "untrained", _UNTRAINED, _TRAINED)
    elif all(is_refuted(each, labels) for each in hypotheses):
        ways = ways.replace(" with", " and")
        found = (
            f"tells examples apart, but not these classes: in any order of labels{ways} it is right for at most "
            f"{best:.0%} of {len(labels)} examples (mean over the classes)"
        )
        yield _without_skill(subject, found, "other classes", _OTHER_CLASSES, "a model of these classes")


_UNTRAINED = "it was never trained, its weights were not loaded, or its training failed"
_OTHER_CLASSES = "it was probably trained for other classes, or never"
_LEARNED_LITTLE = "its fine-tuning was too short, had too few examples or failed"


def _without_skill(subject: DiagnosisSubject, found: str, cause: str, meaning: str, proposal: str) -> Diagnosis:
    """Describes a classifier that knows next to nothing; what tfkd trained on these classes is of no others."""
    field = subject.fine_tuning
    if field:
        cause, meaning = "fine-tuning", _LEARNED_LITTLE
        proposal = f"a larger {field}.epochs, a smaller {field}.learning_rate, or more examples of each class"
    evidence = f"{subject.name} {found}: {meaning}."
    return Diagnosis(subject=subject.name, cause=cause, evidence=evidence, proposal=proposal)
