"""Three made failures with toy networks: the cause is named from the run's folder, its remedy is tried and kept."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bundle.manifests import tiny_manifest
from tests.pipeline.causes import failures
from tfkd import cli
from tfkd.bundle.manifest import RescueEntry
from tfkd.errors import RequestError
from tfkd.pipeline import rescue
from tfkd.pipeline.after import examine_after
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run, run, run_stages
from tfkd.pipeline.stages.student_figures import figures_of
from tfkd.pipeline.uses_of_test import key_of, uses_of_test
from tfkd.progress import Lines
from tfkd.recipe import Recipe, Student
from tfkd.verification.records import Diagnosis, Gate

pytestmark = pytest.mark.usefixtures("started_tensorflow")

MISSED = Gate(name="min_relative_accuracy", value=0.5, limit=0.8, passed=False, verdict="failed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("failures")
    failures.fill(folder)
    return folder


@pytest.fixture(scope="module")
def small(folder: Path) -> Recipe:
    """The recipe of a student of a few weights, which is trained."""
    recipe = failures.recipe_in(folder, "small")
    run(recipe, Lines(), folder / "runs", folder / "bundles", until="student")
    return recipe


def causes(recipe: Recipe, folder: Path) -> list[Diagnosis]:
    run(recipe, Lines(), folder / "runs", folder / "bundles", until="student")
    return examine_after(recipe, RunFolder(folder / "runs" / recipe.name), Lines()).causes


def test_a_small_student_is_to_be_wider(folder: Path, small: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examine_after(small, RunFolder(folder / "runs/small"), Lines())
    cause = found.causes[0]
    assert cause.cause == "student too small" and "another class than its teacher" in cause.evidence
    assert small.with_(*cause.overrides[0]).student.width == failures.WITH_STRIPES
    assert "has not judged its gates yet" in found.summary and "teacher 100.0%" in found.summary
    monkeypatch.setattr("tfkd.training.saving.load_model", lambda path: pytest.fail("predicted once more"))
    assert examine_after(small, RunFolder(folder / "runs/small"), Lines()) == found


def test_the_command_names_the_causes_of_a_run(folder: Path, small: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    run_folder = folder / "runs/small"
    assert cli.execute(["doctor", "--after", str(run_folder)]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "Student too small: the student gives another class" in output
    assert output.endswith("equally confident of every example, so that none can be ranked.")
    assert f"tfkd run --runs {folder}/runs {run_folder}/recipe.json student.width=2" in output


def test_a_place_without_a_run_is_refused_with_the_runs_that_exist(
    folder: Path, small: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(place: Path, *more: str) -> str:
        assert cli.execute(["doctor", "--after", str(place), "--runs", str(folder / "runs"), *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    known = f"{folder}/runs/small"
    assert f"{folder}/photos is no folder of a run." in refused(folder / "photos")
    assert f"There is no run {folder}/runs/smal. Did you mean '{known}'?" in refused(folder / "runs/smal")
    assert f"'{known}'?" in refused(folder / "bundles/small")  # it was not published
    assert f"{folder}/runs is no folder of a run." in refused(folder / "runs")
    assert "No recipe at" in refused(folder / "runs/short.py")
    nowhere = ["doctor", "--after", str(folder / "photos/train"), "--runs", str(folder / "none")]
    assert cli.execute(nowhere) == 2 and f"{folder}/none has none either; call tfkd run" in capsys.readouterr().err


def test_a_bundle_shows_the_causes_of_its_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cause = Diagnosis(subject="student", cause="c", evidence="It is small.", overrides=[["student.width=2"]])
    manifest = tiny_manifest(["a", "b"]).model_copy(update={"gates": [MISSED], "diagnosis": [cause]})
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json(by_alias=True))
    assert cli.execute(["doctor", "--after", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Test accuracy of the student: 100.0%. Missed: min_relative_accuracy.",
        "It is small.",
        f"    tfkd run {tmp_path}/recipe.json student.width=2",
    ]
    assert cli.execute(["doctor", "--after", str(tmp_path), "seed=2"]) == 2
    assert "is a bundle, whose figures no override changes; leave seed=2 out" in capsys.readouterr().err


def test_one_epoch_is_too_short(folder: Path) -> None:
    recipe = failures.recipe_in(folder, "short", epochs=1).with_("distill.control=true")
    cause = causes(recipe, folder)[0]
    assert cause.cause == "training too short" and "took 6 steps" in cause.evidence
    assert recipe.with_(*cause.overrides[0]).distill.training.epochs * 6 >= 1_000
    figures = figures_of(open_run(recipe, RunFolder(folder / "runs/short"), Lines()), [])
    assert figures.control is not None and figures.teacher == 1.0
    assert figures.only_right == (round(48 * (1 - figures.control)), 0)


def test_a_memorised_teacher_is_too_sure(folder: Path) -> None:
    recipe = failures.recipe_in(folder, "memorised", "memorised.csv").with_(f"student.width={failures.WITH_STRIPES}")
    found = causes(recipe, folder)
    assert [each.cause for each in found][:2] == ["teacher too sure", "teacher memorised its examples"]
    assert "predicts 100.0% of them correctly, and 50.0%" in found[0].evidence
    changed = recipe.with_(*found[0].overrides[0]).distill.losses[0]
    assert getattr(changed, "temperature", None) == "auto"


def test_a_run_without_students_is_refused(folder: Path) -> None:
    with pytest.raises(RequestError, match="There is no run in "):
        examine_after(failures.recipe_in(folder, "missing"), RunFolder(folder / "runs/missing"), Lines())
    (folder / "runs/other").mkdir(parents=True)
    with pytest.raises(RequestError, match="has no finished student of these settings"):
        examine_after(failures.recipe_in(folder, "other"), RunFolder(folder / "runs/other"), Lines())


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> list[RunContext]:
    """The runs that are carried on to their report, which is left out; the student of every one misses a gate."""
    found: list[RunContext] = []

    def run_to(context: RunContext, last: str, destination: Path) -> Any:
        if last == "student":
            return run_stages(context, last, destination)
        found.append(context)
        run_stages(context, "student", destination)
        return SimpleNamespace(manifest=SimpleNamespace(gates=[MISSED], student=SimpleNamespace(accuracy=0.5)))

    monkeypatch.setattr(rescue, "run_stages", run_to)
    return found


def rescued(recipe: Recipe, folder: Path, hours: float) -> None:
    rescue.run_with_rescue(recipe, Lines(), folder / "runs", folder / "bundles", hours)


def test_a_rescue_keeps_what_validation_prefers(
    folder: Path, small: Recipe, finished: list[RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    rescued(small, folder, hours=0)
    first, without_time = finished
    assert first.recipe == without_time.recipe == small and without_time.rescue is not None
    assert [each.overrides for each in without_time.rescue.tries] == [["student.width=2"], ["data.image_size=48"]]
    for each in without_time.rescue.tries:
        assert re.search(r"is expected to take (\S+) hours, and 0 are left; --hours 0\.\d+ suffices$", each.reason)

    finished.clear()
    rescued(small, folder, hours=1)
    (kept,) = finished  # the gates of the first call are known
    assert kept.recipe == small.with_("student.width=2") and isinstance(kept.rescue, RescueEntry)
    wider, larger = kept.rescue.tries
    assert (wider.kept, larger.kept, kept.rescue.missed) == (True, False, ["min_relative_accuracy"])
    assert wider.validation_accuracies[0] > kept.rescue.validation_accuracies[0]
    uses = {use.what: use.recipes for use in uses_of_test(kept.folder, kept.data)}
    assert uses["run"] == [key_of(small)] and len(uses["rescue"]) == 2 and key_of(kept.recipe) in uses["rescue"]

    finished.clear()
    monkeypatch.setattr("tfkd.training.workers.run_jobs", lambda *arguments: pytest.fail("trained again"))
    rescued(small, folder, hours=0)  # what is trained needs no time
    assert finished[0].rescue == kept.rescue


def test_a_missed_promise_is_rescued_by_what_the_class_gets(
    folder: Path, small: Recipe, finished: list[RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small.with_("gates.min_recall.red columns=0.9", "export.thresholds=false")
    found = examine_after(recipe, RunFolder(folder / "runs/small"), Lines())  # judged by the validation images
    assert found.causes[0].cause == "no threshold" and "of 12 validation examples of 'red columns'" in found.summary
    gate = MISSED.model_copy(update={"name": "min_recall/small_int8.tflite/red columns", "limit": 0.9})
    monkeypatch.setattr(rescue, "missed", lambda manifest: [gate])
    monkeypatch.setattr(rescue, "MOST_TRIES", 1)
    rescued(recipe, folder, hours=0)  # a threshold takes no training
    kept = finished[-1]
    assert kept.recipe == small.with_("gates.min_recall.red columns=0.9") and kept.rescue is not None
    by_thresholds, plain = (
        figures_of(kept, [f"{gate}/small_int8.tflite{name}"]).at_stake[0].right
        for gate, name in (("min_recall", "/red columns"), ("max_negative_flips", ""))
    )
    assert (by_thresholds, plain) == (12, 0)  # flips are of the most probable classes
    (threshold,) = kept.rescue.tries
    assert threshold.overrides == ["export.thresholds=true"] and threshold.kept
    assert kept.rescue.on_classes["min_recall/red columns"] < 0.9 <= threshold.on_classes["min_recall/red columns"]
    assert threshold.validation_accuracies == kept.rescue.validation_accuracies  # which do not decide


def test_a_remedy_that_cannot_be_trained_is_recorded(
    folder: Path, small: Recipe, finished: list[RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [rescue.Proposal("c", ("student.model=tests.tiny:missing",)), rescue.Proposal("c", ("student.width=9",))]
    monkeypatch.setattr(rescue, "proposals_of", lambda causes: wrong)
    rescued(small, folder, hours=1)
    record = finished[-1].rescue
    assert record is not None and finished[-1].recipe == small
    assert "missing" in record.tries[0].reason and "student.width = 9" in record.tries[1].reason


def test_the_first_remedy_of_every_cause_is_tried_before_the_second_of_one() -> None:
    def cause(name: str, *overrides: list[str]) -> Diagnosis:
        return Diagnosis(subject="student", cause=name, evidence="", overrides=list(overrides))

    found = rescue.proposals_of(
        [
            cause("a", ["x=1"], ["y=1", "z=1"]),
            cause("b", ["x=1"], ["w=1"]),
            cause("c", ["data.folds=5"], ["v=1"], ["x=1"]),
        ]
    )
    assert [(each.cause, *each.overrides) for each in found] == [
        ("a", "x=1"),
        ("c", "v=1"),
        ("a", "y=1", "z=1"),
        ("b", "w=1"),
    ]


def test_a_remedy_without_its_weights_leaves_its_try_to_the_next(
    folder: Path, small: Recipe, finished: list[RunContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(student: Student) -> Path:
        raise RequestError(f"The ImageNet weights of {student.model} cannot be downloaded.")

    trained = ("student.model=mobilenet_v2", "student.weights=imagenet", "student.activation=relu6", "student.width=1")
    wrong = "student.model=tests.tiny:missing"
    found = [rescue.Proposal("c", trained), rescue.Proposal("c", (wrong,)), rescue.Proposal("c", (wrong, "seed=2"))]
    monkeypatch.setattr(rescue, "proposals_of", lambda causes: found)
    monkeypatch.setattr(rescue, "imagenet_file", missing)
    monkeypatch.setattr(rescue, "MOST_TRIES", 1)
    rescued(small, folder, hours=1)
    record = finished[-1].rescue
    assert record is not None and [each.overrides for each in record.tries] == [list(trained), [wrong]]
    assert record.tries[0].reason == "The ImageNet weights of mobilenet_v2 cannot be downloaded."


@pytest.mark.parametrize(
    ("hours", "rounded"), [(0.0161, 0.017), (0.1, 0.1), (0.999, 1.0), (1.01, 1.1), (12.3, 13.0), (123.0, 130.0)]
)
def test_hours_that_suffice_have_two_digits(hours: float, rounded: float) -> None:
    assert rescue._rounded_up(hours) == rounded


@pytest.mark.parametrize(
    ("until", "is_rescue", "hours", "text"),
    [(None, False, 1.0, "it needs --rescue"), ("student", True, None, "leave --until out")],
)
def test_arguments_that_do_not_fit_are_refused(
    folder: Path, small: Recipe, until: str | None, is_rescue: bool, hours: float | None, text: str
) -> None:
    with pytest.raises(RequestError, match=text):
        rescue.run_or_rescue(small, Lines(), folder, folder, until, False, is_rescue, hours)
