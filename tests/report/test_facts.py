import math

import pytest

from tfkd.errors import RequestError
from tfkd.report import facts
from tfkd.report.plots import Dot, front

FRONT = [
    ("best", 9.0, 0.95),
    ("dearer", 2.0, 0.8),
    ("cheapest", 1.0, 0.8),
    ("worse", 1.0, 0.7),
    ("better", 3.0, 0.9),
    ("same", 4.0, 0.9),
]


def test_headline_compares_the_teacher_with_the_int8_student(make_manifest):
    headline = facts.headline(make_manifest())
    assert (headline.reference.variant, headline.shipped.variant) == ("teacher fp32", "student int8")
    assert str(headline) == "11.2 times smaller, 15.4 times faster, 97.0 % of the teacher's accuracy"


def test_headline_without_int8_takes_the_smallest_student(make_manifest):
    rows = [row for row in make_manifest().model_dump()["comparison"] if "int8" not in row["variant"]]
    assert facts.headline(make_manifest(comparison=rows)).shipped.variant == "student dynamic"


def test_headline_admits_a_slower_student(make_manifest):
    rows = make_manifest().model_dump()["comparison"]
    rows[0]["latency_ms"] = 0.5
    assert facts.headline(make_manifest(comparison=rows)).faster == "2.78 times slower"


def test_headline_needs_both_sides(make_manifest):
    with pytest.raises(RequestError, match="must compare a teacher and a student"):
        facts.headline(make_manifest(comparison=[]))


def test_without_teachers_the_first_file_is_what_the_others_are_compared_with(make_manifest):
    rows = make_manifest().model_dump()["comparison"]
    for row in rows:
        row["variant"] = row["variant"].removeprefix("student ")
    own = [row for row in rows if not row["variant"].startswith(("teacher", "control"))]
    headline = facts.headline(make_manifest(teachers=[], comparison=own))
    assert (headline.reference.variant, headline.shipped.variant) == ("fp32", "int8") and headline.compares
    assert str(headline) == "3.70 times smaller, 1.04 times faster, 99.8 % of fp32's accuracy"
    alone = facts.headline(make_manifest(teachers=[], comparison=own[:1]))
    assert not alone.compares and str(alone) == "6.12 MB, 1.45 ms, 88.9 % right"


def test_a_reference_that_is_never_right_has_no_share(make_manifest):
    rows = make_manifest().model_dump()["comparison"]
    rows[0]["accuracy"] = 0.0
    assert facts.headline(make_manifest(comparison=rows)).share == "–"


def test_the_command_that_makes_it_again_can_be_pasted(make_manifest):
    assert facts.again(make_manifest()) == "tfkd run recipe.json"
    asked = {"model": "my $model.keras", "labels": "l.txt", "data": "folder:p", "normalization": "none", "name": "mine"}
    command = facts.again(make_manifest(teachers=[], recipe=asked))
    assert command.startswith("tfkd export 'my $model.keras' --labels=l.txt") and command.endswith("--name=mine")


def test_verdict_counts_and_names(make_manifest):
    manifest = make_manifest()
    assert facts.verdict(manifest) == "All 4 gates passed"
    manifest.gates[1].passed = False
    assert facts.verdict(manifest) == "1 of 4 gates failed: min_agreement/quickstart_int8.tflite"
    for gate in manifest.gates:
        gate.passed = False
    assert facts.verdict(manifest).startswith("4 of 4 gates failed: ")
    assert facts.verdict(manifest).endswith("one_partition/quickstart_int8.tflite and 1 more")
    assert facts.verdict(make_manifest(gates=[])) == "No gates were set"


def test_standard_error_is_binomial():
    assert facts.standard_error(0.9, 1000) == pytest.approx(math.sqrt(0.9 * 0.1 / 1000))
    assert facts.standard_error(0.9, 0) == 0


def test_control_over_seeds_has_mean_and_spread(make_manifest):
    said = facts.control_says(make_manifest())
    assert (
        "88.6 % ± 0.3" in said and "87.1 % ± 0.3" in said
    )  # mean and standard deviation of 88.9 88.4 88.6, 87.1 86.8 87.4
    assert "+1.5 points ± 0.3" in said and "3 of 3 seeds" in said


def test_one_seed_within_the_noise_is_called_so(make_manifest):
    said = facts.control_says(make_manifest(seeds=1))
    assert "+1.8 points" in said and "within the noise" in said and "2.9 points" in said


def test_one_seed_far_from_its_control_is_called_so(make_manifest):
    student = make_manifest(seeds=1).model_dump()["student"] | {"control_accuracies": [0.5]}
    assert "more than the noise" in facts.control_says(make_manifest(student=student))


def test_a_student_worse_than_its_control_is_not_hidden(make_manifest):
    student = make_manifest().model_dump()["student"] | {"control_accuracies": [0.9, 0.9, 0.88]}
    said = facts.control_says(make_manifest(student=student))
    assert "−0.7 points" in said and "1 of 3 seeds" in said


def test_without_a_control_nothing_is_claimed(make_manifest):
    assert facts.control_says(make_manifest(control=False)).startswith("Control not run")


def test_the_front_holds_what_nothing_beats_in_both():
    dots = [Dot(name, "student", cost, accuracy, 0.01) for name, cost, accuracy in FRONT]
    assert [dot.label for dot in front(dots)] == ["cheapest", "better", "best"]
