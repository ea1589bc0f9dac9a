"""Causes of a low accuracy are found from images, named with their evidence, and never found in noise."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd.inputs import kind_of
from tfkd.inputs.image.normalization import ImageNormalization, parse
from tfkd.verification.diagnosis import (
    DiagnosisSubject,
    Wording,
    diagnose,
    initial_weights,
    order_of_labels,
    read_or_diagnose,
)
from tfkd.verification.records import Diagnosis

SIZE = 4
WORDING = Wording(lambda words: f"--normalization {words}", lambda names: f"--labels {','.join(names)}")


def images_of(
    classes: int, each: int | Sequence[int], noise: float = 40, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Returns noisy pictures around one random pattern per class, uint8, and their classes."""
    patterns = np.random.default_rng(99).uniform(30, 225, (classes, SIZE, SIZE, 3))
    labels = np.repeat(np.arange(classes), each)
    rng = np.random.default_rng(seed)
    images = patterns[labels] + rng.normal(0, noise, (len(labels), SIZE, SIZE, 3))
    return images.clip(0, 255).astype(np.uint8), labels


def trained(classes: int, words: str, order: Sequence[int] | None = None, sharp: float = 30.0) -> Callable:
    """Returns a nearest-pattern classifier of normalised pixels; output number i belongs to class order[i]."""
    pixels = parse(words)
    patterns = pixels(np.random.default_rng(99).uniform(30, 225, (classes, SIZE, SIZE, 3)))
    patterns = patterns[list(order if order is not None else range(classes))].reshape(classes, -1)
    scale = sharp / patterns.var() / patterns.shape[1]

    def logits(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1)
        return scale * (flat @ patterns.T - (patterns**2).sum(axis=1) / 2)

    return logits


def subject(network: Callable, stated: str, names: Sequence[str], **changes: object) -> DiagnosisSubject:
    pixels = parse(stated)
    return DiagnosisSubject(
        "m.keras", lambda raw: network(pixels(raw)), pixels, names, WORDING, kind_of("image"), **changes
    )


def names_of(classes: int) -> list[str]:
    return [
        f"{word}" for word in ("hat", "coat", "sock", "shoe", "bag", "tie", "belt", "ring", "cap", "vest")[:classes]
    ]


def one(found: list[Diagnosis]) -> Diagnosis:
    (diagnosis,) = found
    return diagnosis


def test_two_of_ten_labels_that_are_swapped() -> None:
    images, labels = images_of(10, 12)
    order = [0, 1, 7, 3, 4, 5, 6, 2, 8, 9]
    found = one(diagnose(subject(trained(10, "none", order), "none", names_of(10)), images, labels))
    assert found.cause == "labels" and "outputs 2 (sock) and 7 (ring) swapped" in found.evidence
    assert "100% of 120 examples instead of 80%" in found.evidence
    assert found.labels == [names_of(10)[number] for number in order]
    assert found.proposal == f"--labels {','.join(found.labels)}"


def test_a_three_cycle_is_brought_back() -> None:
    images, labels = images_of(3, 12)
    order = [1, 2, 0]
    found = one(diagnose(subject(trained(3, "none", order), "none", names_of(3)), images, labels))
    assert found.cause == "labels" and found.labels == ["coat", "sock", "hat"] and found.normalization is None


def test_a_general_permutation_is_described_in_short() -> None:
    images, labels = images_of(10, 12)
    order = [3, 0, 1, 9, 5, 2, 8, 4, 7, 6]
    found = one(diagnose(subject(trained(10, "none", order), "none", names_of(10)), images, labels))
    assert "10 of 10 outputs in another order" in found.evidence
    assert found.labels == [names_of(10)[number] for number in order]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["shoe", "bag", "hat", "tie", "coat"], "its outputs in alphabetical order"),
        (["c10", "c2", "c1", "c3"], "its outputs in the order of the numbers in their names"),
        (["zebra", "Ape", "bear", "cow", "Dog"], "its outputs in alphabetical order without regard to case"),
    ],
)
def test_a_well_known_order_is_named(names: list[str], message: str) -> None:
    keys = {"in alph": lambda name: name, "order of": lambda name: int(name[1:]), "regard": str.casefold}
    key = keys["regard" if "regard" in message else "order of" if "numbers" in message else "in alph"]
    order = sorted(range(len(names)), key=lambda number: key(names[number]))
    images, labels = images_of(len(names), 12)
    found = one(diagnose(subject(trained(len(names), "none", order), "none", names), images, labels))
    assert message in found.evidence and found.labels == [names[number] for number in order]


def test_a_known_order_of_a_thousand_classes_needs_one_image_each() -> None:
    names = [f"class {number}" for number in np.random.default_rng(3).permutation(300)]
    order = sorted(range(300), key=names.__getitem__)
    images, labels = images_of(300, 1)
    found = one(diagnose(subject(trained(300, "none", order), "none", names), images, labels))
    assert found.labels == sorted(names)


@pytest.mark.parametrize("right", ["none", "tf", "torch", "caffe", "0,255", "bgr", "bgr,0,255"])
@pytest.mark.parametrize("stated", ["none", "103.939,116.779,123.68,1,1,1"])
def test_the_right_normalization_is_found_from_any_other(right: str, stated: str) -> None:
    images, labels = images_of(5, 20, noise=60)
    found = diagnose(subject(trained(5, right, sharp=8), stated, names_of(5)), images, labels)
    classes = trained(5, right, sharp=8)(parse(stated)(images)).argmax(axis=1)
    if (classes == labels).mean() > 0.9:
        assert found == []
        return
    proposed = found[0].normalization
    assert proposed is not None and found[0].cause == "pixels"
    assert f"With pixels as by --normalization {proposed}" in found[0].evidence
    reached = (trained(5, right, sharp=8)(parse(proposed)(images)).argmax(axis=1) == labels).mean()
    assert reached > 0.95, (proposed, reached)


def test_pixels_and_labels_together() -> None:
    images, labels = images_of(6, 20)
    order = [0, 4, 2, 3, 1, 5]
    found = one(diagnose(subject(trained(6, "bgr,0,255", order), "none", names_of(6)), images, labels))
    assert found.cause == "pixels and labels" and found.normalization is not None
    assert parse(found.normalization).bgr and "bgr,0,255" in str(found), "all that fit are named"
    assert found.labels == [names_of(6)[number] for number in order]
    assert "outputs 1 (coat) and 4 (bag) swapped" in found.evidence and found.proposal.count("--") == 2


def test_the_other_channel_order_is_tried_with_the_stated_numbers() -> None:
    images, labels = images_of(5, 20)
    stated, right = "90,100,110,40,50,60", "bgr,90,100,110,40,50,60"
    found = diagnose(subject(trained(5, right, sharp=60), stated, names_of(5)), images, labels)
    assert found[0].normalization is not None and parse(found[0].normalization).bgr
    assert "bgr,90,100,110,40,50,60" in found[0].evidence


def test_a_good_model_is_left_alone_also_on_few_images_and_rare_positives() -> None:
    for classes, each in ((10, 12), (2, [190, 10]), (3, 4)):
        images, labels = images_of(classes, each)
        assert diagnose(subject(trained(classes, "torch"), "torch", names_of(classes)), images, labels) == []


def test_a_model_that_always_predicts_the_most_frequent_class_is_not_called_mislabelled() -> None:
    images, labels = images_of(2, [190, 10])
    always = subject(lambda batch: np.tile([1.0, 0.0], (len(batch), 1)), "none", ["negative", "positive"])
    found = one(diagnose(always, images, labels))
    assert found.cause == "untrained" and "the same class for 100% of 200 examples" in found.evidence


def constant(outputs: int) -> Callable:
    return lambda batch: np.tile(np.arange(outputs, dtype=np.float32), (len(batch), 1))


def guess(outputs: int, seed: int = 0) -> Callable:
    rng = np.random.default_rng(seed)
    return lambda batch: rng.normal(size=(len(batch), outputs))


@pytest.mark.parametrize(("classes", "each"), [(3, 1), (3, 2), (2, 6), (3, 3), (2, [95, 5])])
@pytest.mark.parametrize("network", [constant, guess])
@pytest.mark.parametrize("fine_tuning", ["", "teachers.0.fine_tune"])
def test_few_images_give_no_diagnosis(classes: int, each: int, network: Callable, fine_tuning: str) -> None:
    images, labels = images_of(classes, each)
    assert diagnose(subject(network(classes), "none", names_of(classes), fine_tuning=fine_tuning), images, labels) == []


@pytest.mark.parametrize(("network", "message"), [(constant, "same class for 100%"), (guess, "tells examples apart")])
def test_a_model_fine_tuned_on_these_classes_is_not_said_to_have_others(network: Callable, message: str) -> None:
    images, labels = images_of(4, 60)
    judged = subject(network(4), "none", names_of(4), fine_tuning="teachers.1.fine_tune")
    found = one(diagnose(judged, images, labels))
    assert found.cause == "fine-tuning" and message in found.evidence
    assert "fine-tuning was too short" in found.evidence and "teachers.1.fine_tune.epochs" in found.proposal
    assert "other classes" not in str(found) and "never trained" not in str(found)


def test_a_stored_diagnosis_is_repeated_for_other_rules_and_when_damaged(tmp_path: Path) -> None:
    path, calls = tmp_path / "diagnosis.json", []

    def found(version: int) -> str:
        def look() -> list[Diagnosis]:
            calls.append(version)
            return [Diagnosis(subject="a", cause="labels", evidence=f"by rules {version}")]

        return read_or_diagnose(path, version, look)[0].evidence

    assert [found(version) for version in (1, 1, 2, 2)] == [f"by rules {version}" for version in (1, 1, 2, 2)]
    path.write_text(path.read_text().replace("by rules", "of old"))
    assert found(2) == "by rules 2" and calls == [1, 2, 2]


def test_initial_weights_are_no_evidence_against_a_model_that_knows_the_classes() -> None:
    images, labels = images_of(6, 30, noise=160)
    network = trained(6, "torch")
    assert 0.7 < (network(parse("torch")(images)).argmax(axis=1) == labels).mean() < 0.9
    assert diagnose(subject(network, "torch", names_of(6), weights="w"), images, labels) == []


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_found_in_noise(seed: int) -> None:
    images, labels = images_of(8, 10)
    found = diagnose(subject(guess(8, seed), "none", names_of(8)), images, labels)
    assert {each.cause for each in found} <= {"other classes"}
    assert not any(each.labels or each.normalization for each in found)


@pytest.mark.parametrize("seed", range(5))
def test_a_mediocre_model_gets_no_false_cause(seed: int) -> None:
    images, labels = images_of(6, 30, noise=250, seed=seed)
    network = trained(6, "torch", sharp=5)
    classes = network(parse("torch")(images)).argmax(axis=1)
    assert 0.3 < (classes == labels).mean() < 0.85
    assert diagnose(subject(network, "torch", names_of(6)), images, labels) == []


def test_three_images_prove_nothing() -> None:
    images, labels = images_of(3, 1)
    found = diagnose(subject(trained(3, "none", [1, 2, 0]), "none", names_of(3)), images, labels)
    assert not any(each.labels or each.normalization for each in found)


def test_other_normalizations_are_not_tried_for_a_named_teacher() -> None:
    images, labels = images_of(5, 20)
    wrong = trained(5, "bgr,0,255")
    found = diagnose(subject(wrong, "none", names_of(5), normalization_is_known=True), images, labels)
    assert not any(each.normalization for each in found)


def test_a_model_of_other_classes() -> None:
    images, labels = images_of(6, 30)
    strange = np.random.default_rng(5).normal(size=(SIZE * SIZE * 3, 6))

    def network(batch: np.ndarray) -> np.ndarray:
        hashed = np.sin(batch.reshape(len(batch), -1) @ strange * 1e3)
        return 5 * hashed

    found = one(diagnose(subject(network, "none", names_of(6)), images, labels))
    assert found.cause == "other classes" and "any order of labels" in found.evidence


def test_a_chance_fit_of_a_model_of_other_classes_is_not_an_order_of_labels() -> None:
    images, labels = images_of(10, 30)
    others = np.random.default_rng(3).uniform(30, 225, (10, SIZE * SIZE * 3))

    def nearest_other(batch: np.ndarray) -> np.ndarray:
        return -((batch.reshape(len(batch), 1, -1) - others) ** 2).mean(axis=2) / 50

    found = one(diagnose(subject(nearest_other, "none", names_of(10), normalization_is_known=True), images, labels))
    assert found.cause == "other classes" and not found.labels


def test_ten_thousand_classes_are_diagnosed_in_little_memory() -> None:
    labels = np.arange(0, 10_000, 25)
    names = [f"{number:05d}" for number in np.random.default_rng(2).permutation(10_000)]
    order = np.argsort(names)
    scores = np.zeros((len(labels), 10_000), np.float32)
    scores[np.arange(len(labels)), np.argsort(order)[labels]] = 9
    judged = subject(lambda batch: pytest.fail("it is not to be run"), "none", names)
    assert one(order_of_labels(judged, scores, labels)).labels == sorted(names)


def test_classes_without_images_keep_their_outputs() -> None:
    images, labels = images_of(6, [12, 12, 12, 12, 0, 0])
    found = one(diagnose(subject(trained(6, "none", [1, 0, 2, 3, 4, 5]), "none", names_of(6)), images, labels))
    assert found.labels == [names_of(6)[number] for number in (1, 0, 2, 3, 4, 5)]


def test_labels_are_judged_by_predictions_at_hand() -> None:
    images, labels = images_of(10, 12)
    order = [0, 1, 7, 3, 4, 5, 6, 2, 8, 9]
    scores = trained(10, "none", order)(images.astype(np.float32))
    judged = subject(lambda batch: pytest.fail("it is not to be run"), "none", names_of(10))
    assert one(order_of_labels(judged, scores, labels)).cause == "labels"
    assert order_of_labels(judged, trained(10, "none")(images.astype(np.float32)), labels) == []


def test_initial_weights_are_recognised_and_trained_ones_are_not() -> None:
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3)(x))
    assert "BatchNorm statistics" in initial_weights(model)
    pictures, labels = np.random.default_rng(0).uniform(0, 255, (32, 8, 8, 3)), np.arange(32) % 3
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(pictures, labels, epochs=1, verbose=0)
    assert initial_weights(model) == ""
    model.layers[-1].bias.assign(np.zeros(3))
    assert "the bias of its last layer is 0" in initial_weights(model)


def test_an_untrained_model_is_reported_before_other_hypotheses() -> None:
    images, labels = images_of(6, 20)
    project = np.random.default_rng(4).normal(size=(SIZE * SIZE * 3, 6)) / 100
    for words in ("none", "torch"):
        network = subject(lambda batch: batch.reshape(len(batch), -1) @ project, words, names_of(6), weights="w")
        found = one(diagnose(network, images, labels))
        assert found.cause == "untrained" and "never trained: w" in found.evidence
    mislabelled = subject(trained(6, "none", [1, 2, 0, 3, 4, 5]), "none", names_of(6), weights="w")
    assert one(diagnose(mislabelled, images, labels)).cause == "labels", "it cannot know the classes untrained"


def test_normalised_pixels_can_be_undone() -> None:
    images, _ = images_of(2, 2)
    for words in ("torch", "caffe", "bgr,tf", "none"):
        pixels: ImageNormalization = parse(words)
        np.testing.assert_allclose(pixels(pixels.undone(pixels(images))), pixels(images), atol=1e-3)
        np.testing.assert_allclose(pixels.undone(pixels(images)), images, atol=1e-3)
