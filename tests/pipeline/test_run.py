"""The whole job on a few generated photos, as users run it: by the command, with kills and wrong requests."""

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import running
from tests.data.photos import fill_tinted
from tests.report import links
from tests.traps import set_traps
from tfkd.bundle.manifest import Manifest
from tfkd.inputs.image.tensors import signature
from tfkd.pipeline import pages
from tfkd.pipeline.filling import store_of
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.graph import stages_of
from tfkd.pipeline.run import Outcome, open_run
from tfkd.pipeline.stages.data import open_data
from tfkd.pipeline.stages.trainings import TrainingsResult, training_job
from tfkd.progress import Lines
from tfkd.recipe.files import load
from tfkd.store.layout import Layout
from tfkd.teachers import PreparedTeacher, network
from tfkd.training.job import StudentResult, TrainingKind
from tfkd.verification.records import Gate

PROJECT = Path(__file__).parents[2]
CLASSES = ("blue sky", "grass", "tomato, ripe")
RECIPE = """
from tfkd.recipe import *

recipe = Recipe(
    name="tiny",
    data=Data(source="folder:photos", image_size=32),
    teachers=[
        Teacher(
            model="tests.tiny:build_teacher", weights="none", image_size=40,
            fine_tune=FineTune(epochs=3, batch_size=16, learning_rate=1e-2),
        )
    ],
    student=Student(model="tests.tiny:build_student"),
    distill=Distill(views=2, training=Training(epochs=4, batch_size=16, learning_rate=1e-2)),
    export=Export(calibration_images=20, golden_images=3),
    bench=Bench(runs=5, warmup=1),
    gates=Gates(max_accuracy_drop=0.1, min_agreement=0.8),
)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of three colours and the recipe."""
    home = tmp_path_factory.mktemp("home")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 40))
    (home / "recipe.py").write_text(RECIPE)
    return home


def tfkd(home: Path, *arguments: str, command: str = "run", recipe: str = "recipe.py") -> tuple[int, str, str]:
    return running.run(home, command, recipe, *arguments)


@pytest.mark.parametrize(
    ("override", "again"),
    [
        ("data.augment.mix=cutmix", {"soft_labels", "control", "student"}),
        ("data.augment.flip=false", {"teacher", "soft_labels", "control", "student"}),
        ("distill.views=3", {"soft_labels", "student"}),
        ("distill.label_weight=0.5", {"student"}),
        ("student.width=0.5", {"control", "student"}),
        ("bench.runs=7", set()),
    ],
)
def test_a_changed_recipe_trains_what_depends_on_it_again(home: Path, override: str, again: set[str]) -> None:
    def fingerprints(*overrides: str) -> dict[str, str]:
        recipe = load(home / "recipe.py", [f"data.source=folder:{home / 'photos'}", *overrides])
        stages = stages_of(recipe, open_data(recipe, RunFolder(home), Lines()), home)
        return {name: stages[name].fingerprint for name in ("teacher", "soft_labels", "control", "student")}

    before, after = fingerprints(), fingerprints(override)
    assert {name for name, digits in before.items() if after[name] != digits} == again


@pytest.fixture(scope="module")
def finished(home: Path) -> Path:
    """The folder after one unbroken run."""
    mark = set_traps(home, "pickle", "struct", "h5py")
    code, output, errors = tfkd(home)
    assert code == 0, output + errors
    assert "Traceback" not in errors and "suspected wrong label" in output
    assert not mark.exists()  # nor do the processes of trainings and checks import from the current folder
    return home


def students(runs: Path) -> dict[str, bytes]:
    """Returns the predictions of teacher, control and student on the test images."""
    found = {
        path.relative_to(runs).as_posix(): path.read_bytes()
        for kind in ("teacher", "control", "student")
        for path in sorted((runs / "tiny" / kind).rglob("test_logits.npy"))
    }
    assert len(found) == 3
    return found


def kept(run: Path, stage: str) -> Path:
    """Returns the only folder of a stage in a run."""
    (folder,) = (run / stage).iterdir()
    return folder


def weights(runs: Path) -> list[np.ndarray]:
    import keras

    student = kept(runs / "tiny", "student") / "seed-1/student.keras"
    weights: list[np.ndarray] = keras.saving.load_model(student).get_weights()
    return weights


def test_the_bundle_holds_everything(finished: Path) -> None:
    bundle = finished / "exported_models" / "tiny"
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    expected = {f"android/tiny_{precision}.tflite" for precision in ("fp32", "fp16", "dynamic", "int8")}
    expected |= {"ios/tiny.mlmodel", "labels.txt", "golden/golden.json", "golden/000.png", "manifest.json"}
    expected |= {"recipe.json", "evidence.json", "MODEL_CARD.md", "report.html", "SHA256SUMS"}
    expected |= {"measurements/index.html", "measurements/index.md"}
    expected |= {f"monitor/tiny{ending}.json" for ending in ("_int8.tflite", ".mlmodel", ".mlpackage")}
    expected |= {"android/TinyCounter.kt", "ios/TinyCounter.swift"}
    assert expected <= files
    assert any(file.startswith("ios/tiny.mlpackage/") for file in files)
    assert (bundle / "labels.txt").read_text().splitlines() == list(CLASSES)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=bundle, check=True)


def test_every_link_of_every_copy_of_the_report_leads_to_a_file(finished: Path) -> None:
    bundles = finished / "exported_models/tiny", finished / "runs/tiny/report/bundle"
    written = [bundle / name for bundle in bundles for name in ("report.html", "MODEL_CARD.md")]
    for page in [*written, pages.rewrite(finished / "runs/tiny")[1]]:
        assert links.files(page), page
        assert [file for file in links.files(page) if not file.is_file()] == []


def test_the_manifest_has_the_measurements_of_the_run(finished: Path) -> None:
    manifest = Manifest.model_validate_json((finished / "exported_models" / "tiny" / "manifest.json").read_bytes())
    assert manifest.data.splits == {"train": 96, "validation": 12, "test": 12}
    assert manifest.student.control_accuracy is not None
    assert [row.variant for row in manifest.comparison][:2] == ["teacher fp32", "student fp32"]
    assert all(gate.passed for gate in manifest.gates)
    assert manifest.environment["keras"] and manifest.environments == {}
    assert [(use.what, len(use.recipes)) for use in manifest.test_uses] == [("teacher", 1), ("run", 1)]
    assert manifest.suspected_labels is not None
    assert (manifest.suspected_labels.parts, manifest.suspected_labels.examples) == (["validation", "test"], 24)
    names = {gate.name for gate in manifest.gates}
    assert {"better_than_chance/teacher", "not_worse_than_control", "min_relative_accuracy"} < names
    assert {f"better_than_chance/{artifact.path.rpartition('/')[2]}" for artifact in manifest.artifacts} < names
    measured = {artifact.precision: artifact for artifact in manifest.artifacts if artifact.format == "tflite"}
    assert all(artifact.delegation is not None for artifact in measured.values())
    assert measured["int8"].io.input.dtype == measured["int8"].io.output.dtype == "uint8"
    assert {entry.artifact for entry in manifest.bench} >= {"teacher_fp32", measured["int8"].path}


def test_what_the_run_cost_is_in_the_bundle(finished: Path) -> None:
    bundle = finished / "exported_models/tiny"
    cost = Manifest.model_validate_json((bundle / "manifest.json").read_bytes()).cost
    assert cost is not None and cost.spent is not None and cost.spent == cost.this_call and cost.break_even is None
    stages = ["teacher", "soft_labels", "control", "student", "export", "verify", "bench"]
    assert [each.stage for each in cost.stages] == stages
    assert all(each.spent and each.spent == each.this_call and each.bytes > 0 for each in cost.stages)
    found = cost.distillation
    assert found.to_control is not None and found.to_teacher is not None and found.soft_labels
    # Each training has loaded data, built a network and shown images, in a process of its own.
    assert found.student is not None and found.control is not None and min(found.student, found.control) > 0.5
    assert "What it cost" in (bundle / "report.html").read_text(encoding="utf-8")


def test_a_price_writes_the_report_again_and_nothing_else(finished: Path) -> None:
    shutil.copytree(finished / "runs/tiny", finished / "priced/tiny")
    prices = ("cost.per_hour=36", "cost.queries_per_day=1000", "--runs", "priced", "--out", "priced/out")
    code, output, errors = tfkd(finished, *prices)
    assert code == 0 and output.count(": reused") == 7, output + errors
    manifest = Manifest.model_validate_json((finished / "priced/out/tiny/manifest.json").read_bytes())
    cost = manifest.cost
    assert cost is not None and cost.spent is not None and cost.spent.price == pytest.approx(cost.spent.seconds / 100)
    assert all(each.this_call is None for each in cost.stages) and cost.this_call.seconds == 0
    saved = manifest.teacher_ms
    assert saved is not None and cost.break_even is not None
    assert cost.break_even.queries == pytest.approx(1000 * cost.spent.seconds / saved, abs=1)
    assert cost.break_even.days == cost.break_even.queries / 1000
    assert "The run is paid for after" in (finished / "priced/out/tiny/MODEL_CARD.md").read_text(encoding="utf-8")
    code, output, errors = tfkd(finished, *prices[:4], command="plan")
    lines = {line.split()[0]: line for line in output.splitlines() if " finished " in line}
    assert code == 0 and len(lines) == 8 and all("USD " in line for line in lines.values()), output + errors


def test_what_the_run_chose_is_in_every_record(finished: Path) -> None:
    bundle = finished / "exported_models/tiny"
    why = "There are no ImageNet weights of tests.tiny:build_student"
    for recipe in (bundle / "recipe.json", finished / "runs/tiny/recipe.json"):
        assert json.loads(recipe.read_text())["student"]["weights"] == "none"
    (choice,) = Manifest.model_validate_json((bundle / "manifest.json").read_bytes()).choices
    assert (choice.field, choice.value) == ("student.weights", "none (random weights)") and why in choice.why
    assert "random weights" in (bundle / "report.html").read_text() and why in (bundle / "report.html").read_text()
    assert "Student and control start from random weights" in (bundle / "MODEL_CARD.md").read_text()


def test_the_control_trains_for_as_many_steps_as_the_student(home: Path) -> None:
    recipe = load(home / "recipe.py", [f"data.source=folder:{home / 'photos'}"])
    run = open_run(recipe, RunFolder(home / "steps"), Lines())
    recipe = run.recipe
    stores = (store_of(run.stages["soft_labels"], Layout(len(CLASSES)), recipe.distill.views, run.data),)
    kinds: tuple[TrainingKind, ...] = ("student", "control")
    student, control = (
        training_job(
            recipe, run.data, home, kind=kind, seed=1, network=recipe.student, stores=stores, folder=home / kind
        )
        for kind in kinds
    )
    assert student.steps == control.steps == 4 * (96 // 16)


@pytest.mark.parametrize("statistics", ["moving", "batch"])
def test_a_teacher_predicts_with_the_statistics_of_the_recipe(home: Path, tmp_path: Path, statistics: str) -> None:
    from tests.tiny import build_teacher
    from tfkd.models.batch_statistics import BatchStatistics

    (teacher,) = load(home / "recipe.py", [f"teachers.0.batch_norm={statistics}"]).teachers
    file = tmp_path / "teacher.keras"
    build_teacher(image_size=40, classes=3).save(file)
    layers = network.load(PreparedTeacher("network", file, teacher, CLASSES)).layers
    assert any(isinstance(layer, BatchStatistics) for layer in layers) is (statistics == "batch")


def test_the_student_ships_that_is_best_on_validation() -> None:
    accuracies = {1: (0.9, 0.7), 2: (0.8, 0.9), 3: (0.7, 0.8)}  # on test and on validation
    trained = TrainingsResult(
        tuple(
            StudentResult("student", seed, 10, test, validation, epochs=1, seconds=1.0)
            for seed, (test, validation) in accuracies.items()
        )
    )
    assert trained.best.seed == 2


def test_golden_images_have_the_predictions_of_every_file(finished: Path) -> None:
    golden = json.loads((finished / "exported_models" / "tiny" / "golden" / "golden.json").read_text())
    assert len(golden["images"]) == 3
    for entry in golden["images"]:
        assert len(entry["probabilities"]) == 7
        for probabilities in entry["probabilities"].values():
            assert sum(probabilities) == pytest.approx(1.0, abs=0.02)


def test_the_int8_file_is_calibrated_on_training_images_and_not_on_test_images(finished: Path, tmp_path: Path) -> None:
    import keras

    from tfkd.writers import card_of, samples, tflite

    with contextlib.chdir(finished):
        recipe = load(Path("runs/tiny/recipe.json"), [])
        data = open_data(recipe, RunFolder(Path("runs/tiny")), Lines())
        student = keras.saving.load_model(kept(Path("runs/tiny"), "student") / "seed-1/student.keras")
        published = Path("exported_models/tiny/android/tiny_int8.tflite").read_bytes()
        card = card_of(recipe.model_dump(mode="json"), data.classes, data.fingerprint)
        same = {}
        for name in ("train", "validation", "test"):
            count = recipe.export.calibration_images
            images, _ = samples.examples(getattr(data, name), signature(32), count, recipe.seed)
            tflite.write_tflite(student, "int8", tmp_path / "tiny_int8.tflite", card, images)
            same[name] = (tmp_path / "tiny_int8.tflite").read_bytes() == published
    assert same == {"train": True, "validation": False, "test": False}


@pytest.mark.parametrize(
    ("verdicts", "passed"),
    [([], True), (["passed", "not judged"], True), (["not judged"], True), (["passed", "failed"], False)],
)
def test_an_outcome_passes_where_no_gate_failed(verdicts: list[Any], passed: bool, tmp_path: Path) -> None:
    manifest = Manifest.model_validate_json((PROJECT / "tests/fixtures/0.1.0/bundle/manifest.json").read_bytes())
    manifest.gates = [
        Gate(name="g", value=0.5, limit=0.5, passed=verdict == "passed", verdict=verdict, reason="")
        for verdict in verdicts
    ]
    assert Outcome(tmp_path, None, manifest).passed is passed


def test_a_second_call_reuses_every_stage(finished: Path) -> None:
    bundle = finished / "exported_models" / "tiny" / "manifest.json"
    before = bundle.stat().st_mtime_ns
    code, output, _ = tfkd(finished)
    assert code == 0
    assert output.count(": reused") == 8
    assert "student.weights: none (random weights), as chosen before" in output
    assert bundle.stat().st_mtime_ns == before


def test_the_recipe_in_the_bundle_gives_the_same_run(finished: Path) -> None:
    code, output, errors = tfkd(finished, command="plan", recipe="exported_models/tiny/recipe.json")
    assert code == 0 and output.count("finished") == 8, output + errors


@pytest.mark.slow
def test_damaged_files_are_recreated_identically(finished: Path) -> None:
    run, published = finished / "runs/tiny", finished / "exported_models/tiny"
    damaged = {
        kept(run, "teacher") / "test_logits.npy": b"\xff\xfe",
        kept(run, "soft_labels") / "view-001-00000.npy": b"",
        kept(run, "student") / "seed-1/student.keras": b"PK",
        kept(run, "control") / "seed-1/checkpoint.npz": b"PK",
        published / "labels.txt": b"tomato",
    }
    before, answers = {path: path.read_bytes() for path in damaged}, students(finished / "runs")
    for path, content in damaged.items():
        path.write_bytes(content)
    code, output, errors = tfkd(finished)
    assert code == 0 and "Traceback" not in errors, output + errors
    lines = [line for line in output.splitlines() if line.endswith("recreated")]
    assert [line.partition(":")[0] for line in lines] == ["teacher", "soft_labels", "student"]
    assert "control: reused" in output and "publishing" in output
    assert students(finished / "runs") == answers
    for path in (kept(run, "soft_labels") / "view-001-00000.npy", published / "labels.txt"):
        assert path.read_bytes() == before[path]


def test_a_failed_gate_decides_the_exit_code_and_publishes_nothing(finished: Path) -> None:
    manifest = finished / "exported_models" / "tiny" / "manifest.json"
    before = manifest.read_bytes()
    code, output, _ = tfkd(finished, "gates.min_size_ratio=1000")
    assert code == 1
    assert "min_size_ratio" in output
    assert manifest.read_bytes() == before
    assert (finished / "runs" / "tiny" / "report" / "bundle" / "report.html").is_file()


def test_a_promise_of_an_unknown_class_is_refused_before_any_training(home: Path) -> None:
    code, output, errors = tfkd(home, "gates.min_recall.gras=0.5", "--runs", "refused")
    assert (
        code == 2 and "gates.min_recall names the class 'gras', which does not exist. Did you mean 'grass'?" in errors
    )
    assert not list((home / "refused" / "tiny").glob("*/stage.json")) and "teacher" not in output


def test_a_promised_recall_exports_again_with_a_threshold_from_validation_images(finished: Path) -> None:
    for stage in ("data", "teacher", "soft_labels", "control", "student"):
        shutil.copytree(finished / "runs/tiny" / stage, finished / "promised/tiny" / stage)
    files = ("export.tflite=int8", "export.coreml=none", "gates.min_recall.grass=0.75", "gates.max_recall_drop=0.5")
    code, output, errors = tfkd(finished, *files, "--runs", "promised", "--out", "promised/out")
    assert code == 0 and output.count(": reused") == 4, output + errors
    manifest = Manifest.model_validate_json((finished / "promised/out/tiny/manifest.json").read_bytes())
    threshold, (int8,) = manifest.thresholds["grass"], manifest.artifacts
    assert threshold.images == 4 and threshold.recall is not None and threshold.recall >= 0.75
    assert f"threshold of 'grass': {threshold.value:.8g} gives recall {threshold.recall:.1%}" in output
    assert "Not proven: the recall of 'grass' (" in output and "12 test examples of 'grass' are needed" in output
    for page in ("report.html", "MODEL_CARD.md"):
        assert "Not proven: the recall of" in (finished / "promised/out/tiny" / page).read_text(encoding="utf-8")
    shipped, plain, student = int8.scores_with_thresholds, int8.scores, manifest.student.scores
    assert shipped and plain and student and shipped.classes["grass"].right >= plain.classes["grass"].right
    assert int8.recall_changes and int8.recall_changes.reference == "teacher"
    assert {"min_recall/tiny_int8.tflite/grass", "max_recall_drop/tiny_int8.tflite"} < {g.name for g in manifest.gates}


def test_a_teacher_at_chance_stops_the_run_before_its_store_is_made(home: Path) -> None:
    blind = "teachers.0.model=tests.tiny:build_blind_teacher"
    untrained = (blind, "teachers.0.fine_tune=null", "--runs", "untrained")
    for _ in ("trained", "reused"):
        code, _, errors = tfkd(home, *untrained)
        assert code == 1 and errors.startswith("tfkd: teacher is not better than chance") and errors.count("\n") == 1
        assert (kept(home / "untrained/tiny", "teacher") / "stage.json").is_file()
        assert not (home / "untrained/tiny/soft_labels").exists()
    off = ("gates.better_than_chance=false", "gates.diagnosis=false")
    code, output, errors = tfkd(home, *untrained, *off, "--until", "soft_labels")
    assert code == 0 and "teacher: reused" in output, output + errors


def test_a_retrained_teacher_is_refused_by_the_lock(home: Path) -> None:
    until = ("--runs", "locked", "--until", "soft_labels")
    code, output, errors = tfkd(home, "--lock", *until)
    assert code == 0 and "the teachers are locked in tiny.teacher.lock" in output, output + errors
    code, output, errors = tfkd(home, "--locked", *until, "teachers.fine_tune.epochs=2")
    assert code == 2 and errors.count("\n") == 1 and "accept these with --relock" in errors
    assert "agrees with the locked one for" in output and "to build again: soft_labels" in output


@pytest.mark.slow
def test_a_teacher_that_cannot_be_converted_is_reported_first_and_left_out(home: Path) -> None:
    model, short = "teachers.0.model=tests.tiny:build_unconvertible_teacher", "distill.training.epochs=1"
    files = ('export.tflite=["fp32"]', "export.coreml=[]")
    off = ("gates.min_relative_accuracy=false", "gates.not_worse_than_control=false", "gates.better_than_chance=false")
    code, output, errors = tfkd(home, model, short, *off, *files, "distill.control=false", "name=left_out")
    assert code == 0, output + errors
    assert "Erfinv" in output[: output.index("teacher epoch 1")]
    manifest = Manifest.model_validate_json((home / "exported_models/left_out/manifest.json").read_bytes())
    assert "Erfinv" in str(manifest.teachers[0].not_exported)
    assert {row.variant.split()[0] for row in manifest.comparison} == {"student"}
    folder = home / "exported_models/left_out"
    for page in ("MODEL_CARD.md", "report.html"):
        assert "The teacher has no file to compare with" in (folder / page).read_text()


def test_a_full_or_closed_destination_is_one_line(finished: Path) -> None:
    (finished / "in_the_way").write_text("a file")
    code, _, errors = tfkd(finished, "--out", "in_the_way")
    assert code == 2
    assert errors.count("\n") == 1
    assert errors.startswith("tfkd: Cannot write in_the_way")


def wait_for(process: BaseProcess, condition: Callable[[], bool]) -> None:
    """Waits until something can be seen that the process did; it must not end before."""
    deadline = time.monotonic() + 240
    while not condition():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_killed_repeatedly_ends_with_the_same_weights(finished: Path) -> None:
    """SIGKILL in the teacher's training, in the students' trainings and in the export."""
    runs = finished / "killed"
    arguments = ("--runs", "killed", "--until", "export", 'export.tflite=["fp16","int8"]', "export.coreml=[]")
    moments = [
        lambda: any((runs / "tiny/teacher").glob("*/checkpoint.npz")),
        lambda: any(any((runs / "tiny" / kind).glob("*/seed-1/checkpoint.npz")) for kind in ("control", "student")),
        lambda: any((runs / "tiny/export").glob("bundle/android/*_fp16.tflite")),
    ]
    for moment in moments:
        process = running.start(finished, "run", "recipe.py", *arguments)
        wait_for(process, moment)
        process.kill()
        process.join()
    code, output, errors = tfkd(finished, *arguments)
    assert code == 0, output + errors
    assert students(runs) == students(finished / "runs")
    for resumed, unbroken in zip(weights(runs), weights(finished / "runs"), strict=True):
        np.testing.assert_array_equal(resumed, unbroken)


def test_two_runs_in_one_folder(home: Path) -> None:
    arguments = ("--runs", "shared", "--until", "teacher")
    first = running.start(home, "run", "recipe.py", *arguments)
    wait_for(first, lambda: (home / "shared" / "tiny" / "teacher").exists())
    code, _, errors = tfkd(home, *arguments)
    first.kill()
    first.join()
    assert code == 2
    assert f"process {first.pid}" in errors


FIT = {"families": ["tests.tiny:build_student"], "widths": [1.0, 1.5], "sizes": [32], "rounds": 1, "finalists": 1}


@pytest.fixture(scope="module")
def fitted(finished: Path) -> Path:
    """The folder after a fit that reused the run's trainings and was killed twice on the way."""
    fit = finished / "fits/tiny/fit"
    for stage in ("data", "teacher", "soft_labels", "student", "control"):
        shutil.copytree(finished / "runs/tiny" / stage, finished / "fits/tiny" / stage)
    for moment in (
        lambda: len(list(fit.glob("measurements/*.json"))) == 3,  # the device and two files; the teacher is the third
        lambda: any(fit.glob("*/checkpoint.npz")),
    ):
        process = running.start(finished, *fit_command("--max-kb", "5.2"))
        wait_for(process, moment)
        process.kill()
        process.join()
    kept = {path: path.stat().st_mtime_ns for path in (*fit.glob("measurements/*.json"), *fit.glob("candidates/*/*"))}
    code, output, errors = running.run(finished, *fit_command("--max-kb", "5.2"))
    assert code == 0, output + errors
    assert "tests.tiny:build_student ×1, 32 px, relu6 ships" in output
    assert len(kept) > 3 and {path: path.stat().st_mtime_ns for path in kept} == kept
    return finished


def fit_command(*flags: str) -> tuple[str, ...]:
    settings = (f"fit={json.dumps(FIT)}", 'export.tflite=["int8"]', "export.coreml=[]")
    wanted = ("--min-relative-accuracy", "0.5", "--runs", "fits", "--out", "fitted")
    return ("fit", "recipe.py", *settings, *wanted, *flags)


@pytest.mark.slow
def test_a_fit_publishes_the_student_and_the_recipe_that_makes_it_again(fitted: Path) -> None:
    manifest = Manifest.model_validate_json((fitted / "fitted/tiny/manifest.json").read_bytes())
    recipe = json.loads((fitted / "fits/tiny/fit/recipe.json").read_text())
    assert manifest.recipe == recipe and manifest.student.control_accuracy is not None
    assert recipe["gates"]["min_relative_accuracy"] == 0.5 and recipe["fit"] is None
    code, output, errors = tfkd(fitted, "--runs", "fits", "--out", "fitted", recipe="fits/tiny/fit/recipe.json")
    assert code == 0 and output.count(": reused") == 8, output + errors
    result = json.loads((fitted / "fits/tiny/fit/result.json").read_text())
    assert result["chosen"] == "tests.tiny:build_student ×1, 32 px, relu6" and result["device"]
    assert {row["name"]: list(row["excesses"]) for row in result["rows"]}["teacher"] == ["max_kb"]
    assert (fitted / "fits/tiny/fit/fit.html").read_text().count("<svg") == 1


@pytest.mark.slow
def test_another_budget_repeats_nothing(fitted: Path) -> None:
    def fit(*flags: str) -> tuple[int, str]:
        code, output, errors = running.run(fitted, *fit_command(*flags))
        assert "measuring" not in output and "epoch 1" not in output and "Traceback" not in errors, output + errors
        return code, output

    code, output = fit("--max-kb", "1")
    assert code == 1 and "Nothing meets the budget" in output and "The nearest is tests.tiny:build_student" in output
    code, output = fit("--max-kb", "5.2", "--min-relative-accuracy", "1.9")
    assert code == 1 and "nothing reaches 190 % of the teacher's accuracy" in output
    code, output = fit("--max-kb", "5.2", "--plan")
    assert code == 0 and "0 measurements, at most 4 trainings" in output


@pytest.mark.slow
def test_a_teacher_that_meets_the_budget_is_not_distilled(fitted: Path) -> None:
    code, output, errors = running.run(fitted, *fit_command("--max-kb", "9"))
    assert code == 0 and "Do not distil: the quantized teacher itself meets the budget" in output, output + errors
    (command,) = re.findall(r"This publishes it: tfkd (.*)", output)
    words = shlex.split(command)
    assert words[0] == "export" and all((fitted / words[number]).is_file() for number in (1, 3))
    assert (fitted / words[3]).read_text().splitlines() == list(CLASSES)


@pytest.mark.slow
def test_weights_that_keras_downloads_or_cannot_download_end_no_run(home: Path) -> None:
    student = ["student.model=mobilenet_v3_small", "student.activation=hard_swish"]
    code, output, errors = running.run(home, "run", "recipe.py", "name=downloaded", *student, "--until", "teacher")
    assert (code, errors) == (0, "")
    assert "student.weights: " in output and "Downloading" not in output
