"""Chooses what the report shows of the networks' predictions: confusion matrix, examples and mistakes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfkd.bundle.evidence import (
    Confusion,
    Evidence,
    Example,
    Flip,
    Mistake,
    Prediction,
    SuspectedExample,
    Trained,
)
from tfkd.data.dataset import Dataset, Split
from tfkd.distill.measures import softmax
from tfkd.errors import legible
from tfkd.inputs import kind_of
from tfkd.signature import Signature
from tfkd.verification.flips import SHOWN, FlippedImage
from tfkd.verification.label_errors import SuspectedLabel
from tfkd.writers import samples

Cell = tuple[int, int, int]  # true class, predicted class, images

_SHOWN_PAIRS = 8
_IMAGES_PER_PAIR = 2
_FEWEST_EXAMPLES, _MOST_EXAMPLES = 8, 24
_SHOWN_SUSPECTS = 24


def evidence(
    variant: str,
    data: Dataset,
    signature: Signature,
    seed: int,
    scores: Mapping[Trained, np.ndarray],
    normalized: Callable[[np.ndarray], Any] = softmax,
) -> Evidence:
    """Returns the evidence of predictions on the test split.

    Args:
        variant: the student, as the report names it.
        data: the examples and the names of the classes.
        signature: what the student takes.
        seed: draws the examples.
        scores: float [n, classes] of each network; "student" is required.
        normalized: makes probabilities of rows of scores.
    """
    return Evidence(
        confusion=confusion(variant, data.test.labels, scores["student"]),
        examples=_examples(data, signature, seed + 1, scores, normalized),  # others than the golden ones
        mistakes=_mistakes(data, signature, scores, normalized),
    )


def confusion(variant: str, labels: np.ndarray, scores: np.ndarray) -> Confusion:
    """Counts true classes against predicted ones.

    Args:
        variant: whose predictions these are.
        labels: int [n], the true classes.
        scores: logits or probabilities, float [n, classes].
    """
    pairs = np.stack([labels, scores.argmax(axis=1)], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    cells = [(*pair, count) for pair, count in zip(found.tolist(), counts.tolist(), strict=True)]
    return Confusion(variant=variant, classes=scores.shape[1], cells=cells)


def frequent_pairs(cells: Sequence[Cell]) -> list[Cell]:
    """Returns at most eight cells of a confusion that count mistakes, the most images first.

    Equal counts keep the order of the cells.
    """
    return sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])[:_SHOWN_PAIRS]


def example_positions(labels: np.ndarray, seed: int) -> np.ndarray:
    """Draws examples so that each class is among them, or 24 classes where there are more.

    Args:
        labels: int [n], the true classes.
        seed: draws classes and examples.

    Returns:
        Positions, int64 [8 to 24, or all of fewer labels], the classes in turn.
    """
    classes = np.unique(labels)
    if len(classes) > _MOST_EXAMPLES:
        classes = np.random.default_rng(seed).choice(classes, _MOST_EXAMPLES, replace=False)
    members = np.flatnonzero(np.isin(labels, classes))
    found: np.ndarray = members[samples.in_turn(labels[members], max(_FEWEST_EXAMPLES, len(classes)), seed)]
    return found


def mistake_positions(
    labels: np.ndarray, scores: np.ndarray, normalized: Callable[[np.ndarray], Any] = softmax
) -> np.ndarray:
    """Returns up to two examples of each of the most frequent confused pairs: the most confident mistakes.

    Args:
        labels: int [n], the true classes.
        scores: of the student, float [n, classes].
        normalized: makes probabilities of rows of scores.

    Returns:
        Positions, int64 [at most 16], pair by pair.
    """
    predicted = scores.argmax(axis=1)
    found = [np.empty(0, np.int64)]
    for truth, wrong, _ in frequent_pairs(confusion("", labels, scores).cells):
        members = np.flatnonzero((labels == truth) & (predicted == wrong))
        confidence = normalized(scores[members]).max(axis=1)
        found.append(members[np.argsort(-confidence, kind="stable")[:_IMAGES_PER_PAIR]])
    return np.concatenate(found)


def flips(
    data: Dataset, signature: Signature, teacher: np.ndarray, flipped: Mapping[str, Sequence[FlippedImage]]
) -> list[Flip]:
    """Returns the negative flips of several classifiers of which the teacher is most confident, at most `SHOWN`.

    Args:
        data: the examples and the names of the classes.
        signature: what the student takes.
        teacher: its probabilities on the test split, float [n, classes].
        flipped: those of each classifier of which the teacher is most confident (see `flipped_images`).
    """
    by_position = {each.position: teacher[each.position].max() for images in flipped.values() for each in images}
    positions = np.array(sorted(by_position, key=lambda i: (-by_position[i], i))[:SHOWN], np.int64)
    if not len(positions):
        return []
    return [
        Flip(
            image=kind_of(signature.kind).encode_shown(image, signature),
            label=data.classes[data.test.labels[position]],
            teacher=Prediction(label=data.classes[teacher[position].argmax()], probability=by_position[position]),
            wrong={
                name: Prediction(label=data.classes[each.predicted], probability=each.probability)
                for name, images in flipped.items()
                for each in images
                if each.position == position
            },
        )
        for image, position in zip(samples.at(data.test, positions, signature), positions.tolist(), strict=True)
    ]


def suspects(
    examples: Split, classes: Sequence[str], signature: Signature, suspected: Sequence[SuspectedLabel]
) -> list[SuspectedExample]:
    """Returns the labels that are most probably wrong, at most 24.

    Args:
        examples: those that were judged.
        classes: their names.
        signature: what the student takes.
        suspected: the suspected labels, the most probable first.
    """
    shown = suspected[:_SHOWN_SUSPECTS]
    if not shown:
        return []
    inputs = samples.at(examples, np.array([each.position for each in shown]), signature)
    return [
        SuspectedExample(
            image=kind_of(signature.kind).encode_shown(one, signature),
            file=legible(examples.name(each.position)),
            label=classes[examples.labels[each.position]],
            suggested=Prediction(label=classes[each.suggested], probability=each.probability),
        )
        for one, each in zip(inputs, shown, strict=True)
    ]


def _examples(
    data: Dataset,
    signature: Signature,
    seed: int,
    scores: Mapping[Trained, np.ndarray],
    normalized: Callable[[np.ndarray], Any],
) -> list[Example]:
    positions = example_positions(data.test.labels, seed)
    rows = {who: normalized(each[positions]).tolist() for who, each in scores.items()}
    return [
        Example(
            image=kind_of(signature.kind).encode_shown(image, signature),
            label=data.classes[data.test.labels[position]],
            **{who: each[i] for who, each in rows.items()},
        )
        for i, (image, position) in enumerate(zip(samples.at(data.test, positions, signature), positions, strict=True))
    ]


def _mistakes(
    data: Dataset, signature: Signature, scores: Mapping[Trained, np.ndarray], normalized: Callable[[np.ndarray], Any]
) -> list[Mistake]:
    positions = mistake_positions(data.test.labels, scores["student"], normalized)
    if not len(positions):
        return []
    rows = {who: normalized(each[positions]) for who, each in scores.items()}
    return [
        Mistake(
            image=kind_of(signature.kind).encode_shown(image, signature),
            label=data.classes[data.test.labels[position]],
            **{
                who: Prediction(label=data.classes[each[i].argmax()], probability=each[i].max())
                for who, each in rows.items()
            },
        )
        for i, (image, position) in enumerate(zip(samples.at(data.test, positions, signature), positions, strict=True))
    ]
