import math
import shlex

import pytest

from tests.report.conftest import give
from tfkd.errors import RequestError
from tfkd.pipeline import own_request
from tfkd.report import facts
from tfkd.report.plots import Dot, front
from tfkd.verification.scores import from_counts

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
    assert str(headline) == (
        "88.7 % right (teacher 91.4 %, control 87.1 %, chance 10.0 %), 11.2 times smaller, 15.4 times faster"
    )


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
    assert str(headline).startswith("88.7 % right (fp32 88.9 %, control 87.1 %, chance 10.0 %), 3.70 times smaller")
    manifest = make_manifest(teachers=[], comparison=own[:1])
    manifest.student.control_accuracy = None
    alone = facts.headline(manifest)
    assert not alone.compares and str(alone) == "88.9 % right (chance 10.0 %), 6.12 MB, 1.45 ms"


def test_what_thresholds_of_promises_cost_is_said(make_manifest):
    manifest = make_manifest()
    assert facts.promises_say(manifest) == []
    manifest.student.scores = from_counts({"rare": (10, 5, 4), "common": (90, 95, 80)})
    manifest.student.scores_with_thresholds = from_counts({"rare": (10, 40, 9), "common": (90, 60, 45)})
    assert facts.promises_say(manifest) == [
        "With the thresholds of promises the student predicts 54.0 % of the test split correctly, without 84.0 %; "
        "the recall of 'common' falls most, from 88.9 % to 50.0 %."
    ]


@pytest.mark.parametrize("verdict", ["failed", "not judged"])
def test_the_headline_begins_with_a_verdict_that_is_not_passed(make_manifest, verdict):
    manifest = make_manifest()
    give(manifest.gates[2], verdict)
    assert str(facts.headline(manifest)).startswith(f"{verdict}: 88.7 % right")
    assert str(facts.headline(make_manifest(gates=[]))).startswith("not judged: ")


def test_the_headline_of_a_constant_model_shows_its_balanced_accuracy(make_manifest):
    manifest = make_manifest()
    int8 = next(artifact for artifact in manifest.artifacts if artifact.precision == "int8")
    int8.chance.balanced_accuracy, int8.chance.chance_level = 0.5, 0.5
    assert "balanced 50.0 %, chance 50.0 %" in str(facts.headline(manifest))


def test_a_manifest_without_tests_against_chance_has_a_headline(make_manifest):
    manifest = make_manifest()
    for artifact in manifest.artifacts:
        artifact.chance = None
    assert "chance" not in str(facts.headline(manifest))


def test_the_command_that_makes_it_again_can_be_pasted(make_manifest):
    assert facts.again(make_manifest()) == "tfkd run recipe.json"
    request = {
        "model": "my $model.keras",
        "labels": "l.txt",
        "data": "folder:p",
        "normalization": "none",
        "name": "mine",
    }
    command = facts.again(make_manifest(teachers=[], recipe=request))
    assert command.startswith("tfkd export 'my $model.keras' --labels=l.txt") and command.endswith("--name=mine")
    named = own_request.request(
        {**request, "imports": ["layers"], "image_size": 64},
        {"tflite": ["int8"], "onnx": False},
        ["gates.min_recall.a b=0.9", "bench.runs=7", "export.license=MIT"],
    )
    _, _, model, *words = shlex.split(facts.again(make_manifest(teachers=[], recipe=named.model_dump(mode="json"))))
    assert model == request["model"] and (words[2], words[5]) == ("--image-size=64", "--import=layers")
    assert own_request.request({**request, "imports": ["layers"], "image_size": 64}, {}, words[6:]) == named


def test_verdict_counts_and_names(make_manifest):
    manifest = make_manifest()
    assert facts.verdict(manifest) == "All 4 gates passed"
    give(manifest.gates[1], "failed")
    assert facts.verdict(manifest) == "1 of 4 gates failed: min_agreement/quickstart_int8.tflite"
    for gate in manifest.gates:
        give(gate, "failed")
    assert facts.verdict(manifest).startswith("4 of 4 gates failed: ")
    assert facts.verdict(manifest).endswith("one_partition/quickstart_int8.tflite and 1 more")
    assert facts.verdict(make_manifest(gates=[])) == "No gates were set"


def test_verdict_never_calls_all_passed_what_was_not_judged(make_manifest):
    manifest = make_manifest()
    give(manifest.gates[3], "not judged")
    assert facts.verdict(manifest) == "1 of 4 gates not judged: min_speed_ratio; 3 passed"
    give(manifest.gates[2], "not judged", "switched off by --smoke")
    give(manifest.gates[3], "not judged", "switched off by --smoke")
    off = f"switched off by --smoke ({manifest.gates[2].name}, min_speed_ratio)"
    assert facts.verdict(manifest) == f"2 of 4 gates not judged: {off}; 2 passed"
    give(manifest.gates[1], "not judged", "too few")
    few = "too few (min_agreement/quickstart_int8.tflite)"
    assert facts.verdict(manifest) == f"3 of 4 gates not judged: {few}; {off}; 1 passed"
    give(manifest.gates[1], "passed")
    give(manifest.gates[2], "passed")
    give(manifest.gates[0], "failed")
    assert facts.verdict(manifest) == "1 of 4 gates failed: max_accuracy_drop/quickstart_int8.tflite; 1 not judged"


def test_standard_error_is_binomial():
    assert facts.standard_error(0.9, 1000) == pytest.approx(math.sqrt(0.9 * 0.1 / 1000))
    assert facts.standard_error(0.9, 0) == 0


def test_control_over_seeds_has_mean_and_spread(make_manifest):
    text = facts.control_says(make_manifest())
    assert (
        "88.6 % ± 0.3" in text and "87.1 % ± 0.3" in text
    )  # mean and standard deviation of 88.9 88.4 88.6, 87.1 86.8 87.4
    assert "+1.5 points ± 0.3" in text and "3 of 3 seeds" in text


def test_one_seed_within_the_noise_is_called_so(make_manifest):
    text = facts.control_says(make_manifest(seeds=1))
    assert "+1.8 points" in text and "within the noise" in text and "2.9 points" in text


def test_one_seed_far_from_its_control_is_called_so(make_manifest):
    student = make_manifest(seeds=1).model_dump()["student"] | {"control_accuracies": [0.5]}
    assert "more than the noise" in facts.control_says(make_manifest(student=student))


def test_a_student_worse_than_its_control_is_not_hidden(make_manifest):
    student = make_manifest().model_dump()["student"] | {"control_accuracies": [0.9, 0.9, 0.88]}
    text = facts.control_says(make_manifest(student=student))
    assert "−0.7 points" in text and "1 of 3 seeds" in text


def test_without_a_control_nothing_is_claimed(make_manifest):
    assert facts.control_says(make_manifest(control=False)).startswith("Control not run")


def test_the_front_holds_what_nothing_beats_in_both():
    dots = [Dot(name, "student", cost, accuracy, 0.01) for name, cost, accuracy in FRONT]
    assert [dot.label for dot in front(dots)] == ["cheapest", "better", "best"]


def rescue(**kept):
    tried = {"cause": "student too small", "overrides": ["student.width=2"], "validation_accuracies": [0.8, 0.9]}
    untried = {"cause": "task mismatch", "overrides": ["x=1"], "reason": "it is expected to take 3 hours"}
    fields = {"missed": ["min_relative_accuracy"], "validation_accuracies": [0.6, 0.8]}
    return {**fields, "tries": [{**tried, **kept}, {**untried, "kept": False}]}


def test_a_rescue_is_described_with_what_was_tried_and_kept(make_manifest):
    assert facts.rescue_says(make_manifest()) == []
    text = " ".join(facts.rescue_says(make_manifest(rescue=rescue(kept=True))))
    assert "missed min_relative_accuracy; on the validation split it reached 70.0 %." in text
    assert "student.width=2: 85.0 % on the validation split; kept" in text
    assert "x=1: it is expected to take 3 hours." in text and "None was better" not in text
    assert "None was better" in facts.rescue_says(make_manifest(rescue=rescue(kept=False)))[-1]


def test_what_decided_a_rescue_is_named_where_it_is_not_the_accuracy(make_manifest):
    entry = rescue(kept=True) | {"on_classes": {"min_recall/bag": 0.25, "balanced_accuracy": 0.5}}
    text = facts.rescue_says(make_manifest(rescue=entry))[0]
    assert text.endswith("it reached 70.0 % (min_recall/bag 25.0 %, balanced_accuracy 50.0 %).")


@pytest.mark.parametrize("wrong", [{"reason": "failed"}, {"validation_accuracies": []}, {"overrides": []}])
def test_a_rescue_that_contradicts_itself_is_refused(make_manifest, wrong):
    with pytest.raises(ValueError, match="rescue"):
        make_manifest(rescue=rescue(kept=True, **wrong))


def test_a_test_split_that_measured_several_recipes_is_not_fresh(make_manifest):
    def says(*uses):
        return facts.test_uses_say(make_manifest(test_uses=[{"what": what, "recipes": keys} for what, keys in uses]))

    assert says() == ""
    teacher, run = ("teacher", ["1", "2"]), ("run", ["a", "b"])
    assert says(teacher, ("run", ["a"]), ("compare", ["a"])) == (
        "No other recipe of this run folder was measured on the test split."
    )
    assert says(teacher, run, ("sweep", ["b", "c", "d"])) == (
        "4 recipes of this run folder were measured on the test split (run 2, sweep 3): a choice among them by these "
        "figures makes the figures too high, so measure the final claim on fresh images: tfkd verify quickstart "
        "--unseen SOURCE."
    )
