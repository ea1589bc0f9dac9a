"""The lines, tables and page of a comparison of teachers with the locked ones."""

from pathlib import Path

import pytest

from tests.bundle.teachers import lock_of_teachers, predictions_of, teacher_of
from tests.monitor.test_locks import LABELS, OTHER, retrained
from tests.report import links as linked
from tfkd.monitor.lock_records import LockDiff
from tfkd.monitor.locks import compare_locks
from tfkd.report import locks
from tfkd.terminal import drawn


@pytest.fixture(scope="module")
def diff() -> LockDiff:
    settings = {"model": "resnet20", "fine_tune": {"epochs": 5}}
    new = lock_of_teachers(LABELS, teacher_of(retrained(), OTHER, model="<b>resnet20", settings=settings))
    return compare_locks(lock_of_teachers(LABELS, teacher_of(LABELS)), new, ("old.lock", "new.lock"))


def test_the_lines_say_what_differs_how_far_they_agree_and_where(diff: LockDiff) -> None:
    text = "\n".join(locks.lines(diff))
    assert text.startswith(
        "old.lock → new.lock: other teachers\n  differs: the teacher '<b>resnet20' has other weights"
    )
    assert "of the recipe: teachers.0.fine_tune.epochs was 3, it is 5" in text
    assert "agrees with the locked one for 51 of 60 validation examples (85.0 %, 95 % interval 73.9 to 91.9 %)" in text
    assert "accuracy 100.0 % → 85.0 % (p = 0.0039)" in text
    assert "class 'cat': recall 100.0 % → 60.0 %, worse; 8 of 20 predicted otherwise" in text
    assert "class 'owl': recall 100.0 % → 95.0 %, no sure change; 1 of 20" in text and "'dog':" not in text
    assert "predictions that moved: 8 from 'cat' to 'dog'; 1 from 'owl' to 'cat'" in text


def test_the_tables_list_the_classes_that_changed(diff: LockDiff) -> None:
    text = drawn(*locks.tables(diff))
    assert "other weights" in text and "cat" in text and "worse" in text and "\n│ dog" not in text


def test_the_page_has_all_classes_and_escapes_names(diff: LockDiff, tmp_path: Path) -> None:
    locks.write_page(diff, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;resnet20" in text and "<b>" not in text and "✗ other teachers" in text
    assert all(f"<tr><td>{name}</td>" in text for name in ("cat", "dog", "owl"))
    assert "http" not in text.replace("http-equiv", "") and not linked.files(tmp_path / "page.html")


def test_equal_teachers_have_nothing_that_differs(tmp_path: Path) -> None:
    lock = lock_of_teachers(LABELS, teacher_of(LABELS))
    same = compare_locks(lock, lock, ("a.lock", "b.lock"))
    assert next(locks.lines(same)) == "a.lock → b.lock: the same teachers" and "none" in drawn(*locks.tables(same))
    locks.write_page(same, tmp_path / "page.html")
    assert "✓ the locked teachers" in (tmp_path / "page.html").read_text()


def test_other_data_alone_are_not_called_other_teachers(tmp_path: Path) -> None:
    old = lock_of_teachers(LABELS, teacher_of(LABELS))
    data = old.data.model_copy(update={"fingerprint": "0" * 16})
    found = compare_locks(old, old.model_copy(update={"data": data}), ("old.lock", "new.lock"))
    assert next(locks.lines(found)) == "old.lock → new.lock: other data" and found.differs == ["data"]
    locks.write_page(found, tmp_path / "page.html")
    assert "✗ other data<" in (tmp_path / "page.html").read_text()
    other = data.model_copy(update={"validation": "1" * 16})
    both = compare_locks(old, old.model_copy(update={"data": other, "classes": ["cat", "dog", "bat"]}), ("a", "b"))
    assert locks.verdict(both) == "other classes and data"


def test_classes_beyond_the_first_are_counted() -> None:
    labels = [number for number in range(8) for _ in range(2)]
    moved = [(number + 1) % 8 if place % 2 else number for place, number in enumerate(labels)]
    names = tuple("abcdefgh")
    old, new = (
        lock_of_teachers(labels, teacher_of([0], predictions=predictions_of(found, classes=8)), classes=names)
        for found in (labels, moved)
    )
    lines = list(locks.lines(compare_locks(old, new, ("old.lock", "new.lock"))))
    assert sum(line.startswith("    class '") for line in lines) == 5
    assert "    the predictions of 3 more classes changed" in lines
