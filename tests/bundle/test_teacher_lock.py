"""Lock files: what they hold, and files that are none."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bundle.manifests import tiny_manifest
from tests.bundle.teachers import CLASSES, lock_of_teachers, logits_of, predictions_of, teacher_of
from tfkd.bundle import teacher_lock
from tfkd.bundle.teacher_lock import (
    MOST_CLASSES,
    MOST_EXAMPLES,
    UNKNOWN,
    TeacherLock,
    contradictions,
    encoded,
    locked_predictions,
    read_lock,
    require_replaceable,
    write_lock,
)
from tfkd.errors import RequestError

LABELS = [0, 1, 2, 0]


@pytest.fixture
def lock() -> TeacherLock:
    return lock_of_teachers(LABELS, teacher_of([0, 1, 2, 1]))


@pytest.fixture
def file(lock: TeacherLock, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.teacher.lock"
    write_lock(lock, path)
    return path


def test_it_is_read_as_it_was_written_and_equal_locks_have_equal_bytes(
    lock: TeacherLock, file: Path, tmp_path: Path
) -> None:
    found = read_lock(file)
    assert found.written() == lock.written() and found.sha256
    write_lock(found, tmp_path / "again.lock")
    assert (tmp_path / "again.lock").read_bytes() == file.read_bytes()
    top = found.teachers[0].predictions.top(4)  # type: ignore[union-attr]
    assert top.classes[:, 0].tolist() == [0, 1, 2, 1] and found.data.truth().tolist() == LABELS
    assert top.steps[0].tolist() == [round(255 * np.exp(4) / (np.exp(4) + 2)), 5, 5]


def test_other_line_ends_and_spaces_are_no_edit(file: Path) -> None:
    content = json.loads(file.read_text())
    file.write_bytes(json.dumps(content, indent=1).replace("\n", "\r\n").encode())
    assert read_lock(file).name == "tiny"


def edited(content: dict[str, Any]) -> None:
    content["teachers"][0]["weights"] = "b" * 64


def sealed_again(change: Any) -> Any:
    """Returns a change of a lock file whose author has corrected its digest too."""

    def changed(content: dict[str, Any]) -> None:
        change(content)
        content["sha256"] = teacher_lock._digest(content)

    return changed


def cut(content: dict[str, Any]) -> None:
    content["teachers"][0]["predictions"]["classes"] = content["teachers"][0]["predictions"]["classes"][:8]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edited, "was edited: its content is not that of its own SHA-256. Restore it from version control, or"),
        (lambda content: content.update(schema="tfkd-teacher-lock-9"), "has the format tfkd-teacher-lock-9, this"),
        (lambda content: content.update(schema="tfkd-diff-1"), "is no lock of a teacher. Restore"),
        (lambda content: content.pop("schema"), "is no lock of a teacher. Restore"),
        (sealed_again(cut), "is no lock of a teacher: .*has 3 classes and 12 probabilities of 4 examples"),
        (sealed_again(lambda content: content.pop("teachers")), "teachers: Field required"),
        (sealed_again(lambda content: content.update(more=1)), "more: Extra inputs"),
        (sealed_again(lambda content: content["data"].update(labels="AAAAAA")), "has 2 labels|no base64"),
        (sealed_again(lambda content: content["data"].update(labels="AAABAAkAAAA=")), "a label is of no class"),
        (sealed_again(lambda content: content.update(classes=["cat"])), "is of no class"),
    ],
)
def test_a_changed_file_is_refused(file: Path, change: Any, message: str) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(RequestError, match=message) as error:
        read_lock(file)
    assert str(error.value).startswith(str(file)) and "\n" not in str(error.value)


def predicted(classes: list[int], steps: list[int], **others: Any) -> Any:
    """Returns a change of the stored predictions of 4 examples for 3 classes, with the right digest."""

    def change(content: dict[str, Any]) -> None:
        content["teachers"][0]["predictions"] |= {
            "classes": encoded(np.array(classes), "<u2"),
            "probabilities": encoded(np.array(steps), "u1"),
            **others,
        }

    return sealed_again(change)


RANKED, SURE = [0, 1, 2] * 4, [245, 5, 5] * 4


def test_the_predictions_of_the_next_test_are_possible_before_they_are_changed(file: Path) -> None:
    content = json.loads(file.read_text())
    predicted(RANKED, SURE)(content)
    file.write_text(json.dumps(content))
    assert read_lock(file).data.examples == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (predicted(RANKED, [255] * 12), "a sum above 1"),
        (predicted(RANKED, [0] * 12), "a sum below 1"),
        (predicted([UNKNOWN] * 3 + RANKED[3:], [0] * 3 + SURE[3:]), "predictions are of known examples"),
        (predicted([UNKNOWN] * 12, SURE), "a sum above 1, or are of no class"),
        (predicted([0, UNKNOWN, 2, *RANKED[3:]], SURE), "a prediction has no class"),
        (predicted([UNKNOWN, 1, 2, *RANKED[3:]], SURE), "a prediction has no class"),
        (predicted([0, 0, 1, *RANKED[3:]], SURE), "a prediction has a class twice"),
        (predicted(RANKED, SURE, examples=5), "known examples, 5 are stated"),
        (predicted(RANKED, SURE, examples=3), "known examples, 3 are stated"),
        (predicted([0, 1] * 4, [250, 5] * 4), "2 classes of each example are stored, of 3"),
        (sealed_again(lambda content: content["data"].update(splits={})), "4 examples have .* the splits have 0"),
        (sealed_again(lambda content: content["data"]["splits"].update(validation=9)), "4 examples have .* have 9"),
        (sealed_again(lambda content: content["data"].update(pooled=True)), "4 examples have .* the splits have 5"),
        (sealed_again(lambda content: content["data"].update(validation="x")), "data.validation: String should match"),
        (sealed_again(lambda content: content["data"].update(fingerprint="")), "data.fingerprint: String should"),
        (sealed_again(lambda content: content.update(classes=["cat", "dog", "cat"])), "two classes have the same"),
    ],
)
def test_a_lock_that_contradicts_itself_is_refused(file: Path, change: Any, message: str) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(RequestError, match=f"is no lock of a teacher: .*{message}"):
        read_lock(file)


def test_rows_of_examples_outside_of_the_domain_are_possible_where_it_has_one(tmp_path: Path) -> None:
    known = np.array([True, False, True, True])
    for domain in ("a/*", None):
        part = locked_predictions(logits_of([2, 1, 0]), known)
        teacher = teacher_of([0] * 4, predictions=part, domain=domain)
        if domain:
            write_lock(lock_of_teachers(LABELS, teacher), tmp_path / "a.lock")
            assert read_lock(tmp_path / "a.lock").teachers[0].domain == "a/*"
        else:
            with pytest.raises(ValueError, match="known examples, 3 are stated"):
                lock_of_teachers(LABELS, teacher)


@pytest.mark.parametrize("count", [1_999, 2_001, 5_000])
@pytest.mark.parametrize("classes", [1, 2, 6, 1_000])
def test_what_a_teacher_predicts_is_possible(count: int, classes: int) -> None:
    logits = np.random.default_rng(0).normal(scale=0.01, size=(count, classes)).astype(np.float32)
    found = locked_predictions(logits, np.ones(count, bool))
    assert found
    found.require_possible(classes, count, min(count, MOST_EXAMPLES), is_of_all=True)


def test_a_file_that_does_not_say_it_is_a_lock_is_not_replaced(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for content in (
        b"",
        b"{}",
        b"weights",
        b"\xff\xfe\x00",
        b'{"schema": "tfkd-diff-1"}',
        b'x = "tfkd-teacher-lock-1"',
    ):
        other.write_bytes(content)
        with pytest.raises(RequestError, match=r"other is no lock of a teacher, and would be replaced\. Name another"):
            require_replaceable(other)
    require_replaceable(tmp_path / "gone")
    require_replaceable(file)
    text = file.read_bytes()
    for damaged in (text[:300], text.replace(b"tiny", b"<<<<<<< HEAD"), text.replace(b"lock-1", b"lock-9")):
        file.write_bytes(damaged)
        require_replaceable(file)
    os.mkfifo(tmp_path / "pipe")
    for call in (require_replaceable, read_lock):
        with pytest.raises(RequestError, match="pipe is a pipe or device; name a regular file"):
            call(tmp_path / "pipe")


def test_a_lock_is_written_to_the_target_of_a_link(lock: TeacherLock, file: Path, tmp_path: Path) -> None:
    link, content = tmp_path / "link.lock", file.read_bytes()
    file.unlink()
    link.symlink_to(file.name)
    for _ in range(2):  # the target is missing at first
        write_lock(lock, link)
        assert link.is_symlink() and file.read_bytes() == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is not JSON"),
        (b"[1]", "is no lock of a teacher. Restore"),
        (b"weights", "it is not JSON"),
        (b"\xff\xfe\x00", "it is not UTF-8"),
        (b"[" * 200_000, "it is nested too deeply"),
        (b'{"schema": "tfkd-teacher-lock-1", "schema": "x"}', "has two values of 'schema'"),
        (b'{"schema": NaN}', "it has the number NaN"),
        (b" " * (teacher_lock._LARGEST + 1), "it is larger than 16 MiB"),
    ],
)
def test_what_is_no_lock_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.lock").write_bytes(content)
    with pytest.raises(RequestError, match=message):
        read_lock(tmp_path / "a.lock")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"gone\.lock cannot be read: No such file"):
        read_lock(tmp_path / "gone.lock")


def test_of_many_examples_and_classes_a_part_is_stored() -> None:
    predicted = np.arange(5_000) % 40
    found = predictions_of(predicted, classes=40)
    top = found.top(MOST_EXAMPLES)
    assert found.examples == 5_000 and top.classes.shape == (MOST_EXAMPLES, MOST_CLASSES)
    np.testing.assert_array_equal(top.classes[:, 0], predicted[teacher_lock.sampled(5_000)])
    one = predicted.copy()
    one[1] = 7  # an example without a stored prediction
    assert predictions_of(one, classes=40).sha256 != found.sha256


def test_an_example_outside_of_the_domain_has_no_prediction() -> None:
    known = np.array([True, False, True, True])
    found = locked_predictions(logits_of([2, 1, 0]), known)
    assert found is not None and found.examples == 3
    top = found.top(4)
    assert top.known.tolist() == known.tolist() and top.classes[known, 0].tolist() == [2, 1, 0]
    assert locked_predictions(logits_of([]), np.zeros(4, bool)) is None


def test_the_last_digits_of_another_machine_are_the_same_teacher() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(500, 30))
    known = np.ones(500, bool)
    first, noisy, other = (
        locked_predictions(each, known)
        for each in (logits, logits + rng.normal(scale=1e-3, size=logits.shape), logits * 1.2)
    )
    assert first and noisy and other and first.sha256 != noisy.sha256
    assert first.top(500).is_like(noisy.top(500)) and not first.top(500).is_like(other.top(500))
    assert first.top(500).distances(noisy.top(500)).max() < 0.02 < other.top(500).distances(first.top(500)).mean()


def test_the_distance_is_the_total_variation_where_all_classes_are_stored() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=2, size=(2, 50, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = np.abs(probabilities[0] - probabilities[1]).sum(axis=-1) / 2
    tops = [locked_predictions(each, np.ones(50, bool)).top(50) for each in logits]  # type: ignore[union-attr]
    np.testing.assert_allclose(tops[0].distances(tops[1]), expected, atol=4 / 255)


def test_a_lock_that_is_not_the_manifests_is_a_contradiction(lock: TeacherLock) -> None:
    manifest = tiny_manifest(list(CLASSES))
    found = set(contradictions(lock, manifest))
    assert found == {"it is of other examples", "it is of other teachers"}
    named = lock.model_copy(update={"name": "other", "classes": ["a"]})
    assert {"it is the lock of 'other'", "it has other classes"} <= set(contradictions(named, manifest))
