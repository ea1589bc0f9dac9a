"""Bundles whose manifest or golden predictions were changed and sealed again: `tfkd verify` trusts neither."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from tests.bundle.changes import change_golden, change_manifest, described_anew, failures, refused
from tests.bundle.conftest import apart as apart
from tests.bundle.conftest import copy as copy
from tests.bundle.conftest import good as good
from tests.bundle.conftest import photos as photos
from tfkd.bundle import class_consistency, consistency, golden, golden_labels, verdicts
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.seal import seal
from tfkd.bundle.verification import verify
from tfkd.verification import VerifyError
from tfkd.verification.apart import Answered, Apart

Change = Callable[[Any], None]
INT8, FP32, MLMODEL = "android/tiny_int8.tflite", "android/tiny_fp32.tflite", "ios/tiny.mlmodel"


def every(change: Change) -> Change:
    """Changes the entry of every golden image."""
    return lambda index: [change(entry) for entry in index["images"]] and None


def family(name: str, path: str, of: str = FP32) -> Change:
    """Adds predictions of a family, copied from a file's reference family."""
    return every(lambda entry: entry["families"].setdefault(name, {}).update({path: entry["probabilities"][of]}))


def answers(path: str, row: list[float]) -> Change:
    return every(lambda entry: entry["probabilities"].update({path: row}))


def reversed_of(path: str) -> Change:
    return every(lambda entry: entry["probabilities"][path].reverse())


@pytest.mark.parametrize(
    ("change", "check", "message"),
    [
        (
            every(lambda entry: entry.pop("families")),
            FP32,
            "has no predictions of android/tiny_fp32.tflite as LiteRT's own",
        ),
        (
            lambda index: index["images"][0].pop("families"),
            "golden examples",
            "000.png has no predictions of litert_kernels",
        ),
        (
            lambda index: index["images"][1].pop("families"),
            "golden examples",
            "001.png has no predictions of litert_kernels",
        ),
        (
            every(lambda entry: entry["families"]["litert_kernels"].pop(INT8)),
            INT8,
            "has no predictions of android/tiny_int8.tflite as LiteRT's own kernels",
        ),
        (family("xnnpack", FP32), FP32, "has two predictions of LiteRT with XNNPACK"),
        (
            family("coreml_fp32", FP32),
            FP32,
            "has predictions of Core ML in float32 of android/tiny_fp32.tflite, which it",
        ),
        (
            family("litert_kernels", MLMODEL),
            MLMODEL,
            "has predictions of LiteRT's own kernels of ios/tiny.mlmodel, which",
        ),
        (
            family("litert_kernels", "android/x.tflite"),
            "golden examples",
            "predictions of android/x.tflite, which the manif",
        ),
        (
            answers("android/x.tflite", [1.0, 0.0, 0.0]),
            "golden examples",
            "predictions of android/x.tflite, which the manif",
        ),
        (family("a\n\x1b[31m", FP32), "golden examples", "String should match pattern"),
        (
            answers(INT8, [0.0, 0.0, 0.0]),
            INT8,
            "the predictions of android/tiny_int8.tflite as LiteRT with XNNPACK are all",
        ),
        (answers(INT8, [0.5, 0.5, 0.5]), INT8, "add up to 1.5, not to 1"),
        (answers(INT8, [1e308, 0.0, 0.0]), INT8, "are not all numbers"),
        (answers(INT8, ["0.5", "0.5", "0"]), "golden examples", "Input should be a valid number"),
        (answers(INT8, [True, False, False]), "golden examples", "Input should be a valid number"),
        (
            every(lambda entry: entry["probabilities"].pop("keras")),
            "golden examples",
            "no predictions of the Keras model",
        ),
        (answers("keras", [0.0, 0.0, 0.0]), "golden examples", "the predictions of the Keras model are all zero"),
        (lambda index: index["images"].append(index["images"][0]), "golden examples", "names an example twice"),
    ],
)
def test_incomplete_or_foreign_golden_predictions_are_refused(
    copy: Path, apart: Apart, change: Change, check: str, message: str
) -> None:
    change_golden(copy, change)
    seal(copy)
    found = [each for each in verify(copy, apart=apart) if each.verdict == "failed"]
    named = {each.name: each.found for each in found}
    assert message in named[check] and named[check].isprintable()


def test_golden_predictions_of_float_files_must_agree_with_the_keras_model(copy: Path, apart: Apart) -> None:
    change_golden(copy, reversed_of("keras"))
    seal(copy)
    numbers, *failed = failures(verify(copy, apart=apart))
    assert [check.name for check in failed] == [FP32, MLMODEL]
    assert "the predictions of the Keras model and android/tiny_fp32.tflite are" in failed[0].found
    assert "the accuracy of keras on" in numbers.found and "of its 2 golden predictions are correct" in numbers.found


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("precision", "dynamic", "its precision is int8; the manifest says 'dynamic'"),
        ("precision", "of_tomorrow", "its precision is int8; the manifest says 'of_tomorrow'"),
        ("min_runtime", "TensorFlow Lite 1.0.0", "; the manifest says 'TensorFlow Lite 1.0.0'"),
        ("min_runtime", None, "; the manifest says None"),
        ("operator_versions", {"CONV_2D": 1}, "its operators have other versions than the manifest says"),
        ("golden_tolerances", {"xnnpack": "0.5"}, "Input should be a valid number"),
    ],
)
def test_statements_of_the_manifest_are_compared_with_the_file(
    copy: Path, apart: Apart, field: str, value: Any, message: str
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        (artifact,) = [each for each in manifest["artifacts"] if each["path"] == INT8]
        artifact[field] = value

    change_manifest(copy, change)
    seal(copy)
    refused(verify(copy, apart=apart), "manifest" if field == "golden_tolerances" else INT8, message)


def test_the_tolerance_of_a_file_is_that_of_what_it_is(copy: Path, apart: Apart) -> None:
    """A file that holds float32 alone may be called dynamic: small weights are not quantized."""
    dynamic = "android/tiny_dynamic.tflite"
    (copy / dynamic).write_bytes((copy / FP32).read_bytes())
    described_anew(copy)

    def alike(manifest: dict[str, Any]) -> None:
        found = {artifact["path"]: artifact for artifact in manifest["artifacts"]}
        for name in ("io", "min_runtime", "operator_versions"):
            found[dynamic][name] = found[FP32][name]

    def near(entry: dict[str, Any]) -> None:
        for probabilities in (entry["probabilities"], *entry["families"].values()):
            probabilities[dynamic] = list(probabilities[FP32])
        row = entry["probabilities"][dynamic]
        largest, least = row.index(max(row)), row.index(min(row))
        row[largest], row[least] = row[largest] - 0.001, row[least] + 0.001

    change_manifest(copy, alike)
    change_golden(copy, every(near))
    seal(copy)
    refused(verify(copy, apart=apart), dynamic, "0.001 off; 0.0001 is allowed")


def test_golden_images_that_are_too_few_or_all_the_same(copy: Path, apart: Apart) -> None:
    change_manifest(copy, lambda manifest: manifest["recipe"]["export"].update(golden_images=4))
    seal(copy)
    refused(verify(copy, apart=apart), "golden examples", "has 2 golden examples; the bundle was made with 4")
    change_manifest(copy, lambda manifest: manifest["recipe"]["export"].update(golden_images=2))
    Image.open(copy / "golden" / "000.png").save(copy / "golden" / "001.png")
    seal(copy)
    refused(verify(copy, apart=apart), "golden examples", "all of the 2 golden examples are the same")


def test_a_constant_file_fails_even_if_the_bundle_expects_it(
    copy: Path, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = [0.25, 0.5, 0.25]
    change_golden(copy, answers(INT8, row))
    change_golden(copy, every(lambda entry: entry["families"]["litert_kernels"].update({INT8: row})))
    seal(copy)

    def same(*arguments: Any) -> Answered:
        answered = run(*arguments)
        constant = arguments[1].name == Path(INT8).name
        rows = np.broadcast_to(np.float32(row), answered.probabilities.shape)
        return replace(answered, probabilities=rows if constant else answered.probabilities)

    run = Apart.run
    monkeypatch.setattr(Apart, "run", same)
    refused(verify(copy, apart=apart), INT8, "are the same for every example")


def test_a_file_that_the_manifest_calls_not_verified_is_run(
    copy: Path, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unverified(manifest: dict[str, Any]) -> None:
        (artifact,) = [each for each in manifest["artifacts"] if each["path"] == INT8]
        artifact["not_verified"] = "operator 'x'"

    def without(entry: dict[str, Any]) -> None:
        for probabilities in (entry["probabilities"], *entry["families"].values()):
            del probabilities[INT8]

    change_manifest(copy, unverified)
    change_golden(copy, every(without))
    seal(copy)
    (check,) = [check for check in verify(copy, apart=apart) if check.name == INT8]
    assert check.verdict == "not judged" and "operator 'x'" in check.found

    def zeros(*arguments: Any) -> Answered:
        answered = run(*arguments)
        return replace(answered, probabilities=answered.probabilities * (arguments[1].name != Path(INT8).name))

    run = Apart.run
    monkeypatch.setattr(Apart, "run", zeros)
    refused(verify(copy, apart=apart), INT8, "its predictions are all zero")


def put(value: Any, *place: Any) -> Change:
    """Puts a value at a place of the manifest."""

    def change(manifest: dict[str, Any]) -> None:
        inner: Any = manifest
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value

    return change


def drop(*place: Any) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        inner: Any = manifest
        for name in place[:-1]:
            inner = inner[name]
        del inner[place[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (put(1.5, "artifacts", 0, "accuracy"), "artifacts.0.accuracy"),
        (put(-0.1, "student", "control_accuracy"), "student.control_accuracy"),
        (put(float("nan"), "student", "accuracy"), "student.accuracy"),
        (put(float("inf"), "comparison", 0, "latency_ms"), "comparison.0.latency_ms"),
        (put(0.0, "comparison", 0, "latency_ms"), "comparison.0.latency_ms"),
        (put(-1.0, "bench", 0, "latency_ms", "median"), "bench.0.latency_ms.median"),
        (put(9.0, "bench", 0, "latency_ms", "min"), "bench.0.latency_ms"),
        (put(0, "bench", 0, "runs"), "bench.0.runs"),
        (put(-1, "artifacts", 1, "bytes"), "artifacts.1.bytes"),
        (put("0" * 63, "artifacts", 1, "sha256"), "artifacts.1.sha256"),
        (put("../tiny", "name"), "name"),
        (put("1", "seed"), "seed"),
        (put(-1, "seed"), "seed"),
        (put("yesterday", "created"), "created"),
        (put("2026-01-01T00:00:00+02:00", "created"), "created"),
        (put("new", "tfkd_version"), "tfkd_version"),
        (put(0, "data", "splits", "test"), "data.splits"),
        (drop("data", "splits", "test"), "data.splits"),
        (put(-5, "data", "splits", "train"), "data.splits.train"),
        (put(5, "data", "splits", "holdout"), "data.splits.holdout"),
        (put({"k": [9.0, 1.0]}, "data", "pixel_ranges"), "data.pixel_ranges.k"),
        (put(0.0, "artifacts", 0, "chance", "p_value"), "artifacts.0.chance.p_value"),
        (put(0, "teachers", 0, "parameters"), "teachers.0.parameters"),
        (put(float("nan"), "recipe", "export", "anything"), "recipe"),
        (put(1e400, "gates", 0, "value"), "gates.0.value"),
        (put("maybe", "gates", 0, "verdict"), "gates.0.verdict"),
    ],
)
def test_values_outside_of_their_ranges_are_refused(good: Path, change: Change, place: str) -> None:
    manifest = json.loads((good / "manifest.json").read_text())
    change(manifest)
    with pytest.raises(ValidationError) as raised:
        Manifest.model_validate_json(json.dumps(manifest), strict=True)
    assert ".".join(map(str, raised.value.errors()[0]["loc"])).startswith(place)


def test_the_json_schema_states_the_ranges() -> None:
    schema = Manifest.model_json_schema()
    parts = schema["$defs"]
    assert (
        parts["StudentEntry"]["properties"]["accuracy"] | {"minimum": 0, "maximum": 1}
        == (parts["StudentEntry"]["properties"]["accuracy"])
    )
    assert parts["ComparisonRow"]["properties"]["latency_ms"]["exclusiveMinimum"] == 0
    assert parts["Artifact"]["properties"]["sha256"]["pattern"] == "^[0-9a-f]{64}$"
    assert schema["properties"]["created"]["format"] == "date-time" and schema["properties"]["seed"]["minimum"] == 0


def gate(which: str, **values: Any) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        (found,) = [each for each in manifest["gates"] if each["name"] == which]
        found.update(values)

    return change


def both(*changes: Change) -> Change:
    return lambda manifest: [change(manifest) for change in changes] and None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put([], "gates"), "is missing, which its recipe requires"),
        (gate("diagnosis", name="other"), "the gate diagnosis is missing"),
        (gate("min_relative_accuracy", limit=0.0), "stated as passed (value 1.08333, limit 0)"),
        (gate("min_relative_accuracy", value=2.0), "stated as passed (value 2, limit"),
        (gate("diagnosis", verdict="not judged", passed=False), "stated as not judged"),
        (put(2.0, "recipe", "gates", "min_relative_accuracy"), "by its numbers it is failed"),
        (lambda manifest: manifest["gates"].append(manifest["gates"][0]), "is listed 2 times"),
        (put({}, "recipe", "gates"), "does not say whether better_than_chance is on"),
        (drop("recipe", "gates", "max_accuracy_drop"), "does not say whether max_accuracy_drop is on"),
        (put(-1, "recipe", "gates", "max_accuracy_drop"), "recipe.gates.max_accuracy_drop: Input should be greater"),
        (put(None, "artifacts", 0, "delegation"), "its gates cannot be judged: The gate one_partition needs"),
        (put(0.9, "recipe", "gates", "min_size_ratio"), "the gate min_size_ratio is missing"),
    ],
)
def test_verdicts_are_computed_again_from_values_and_limits(good: Path, change: Change, message: str) -> None:
    assert message in " ".join(gates_of(changed(good, change)))


CATS = ("student", "scores", "classes", "cat")
INT8_CATS = ("artifacts", 3, "scores", "classes", "cat")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(1.0, *CATS, "recall", "low"), "student.scores: a fraction or an interval does not follow from the counts"),
        (put(0.5, "student", "scores", "macro_f1", "value"), "student.scores: a fraction or an interval"),
        (put(99, *CATS, "images"), "student.scores: they count"),
        (put(99, *CATS, "right"), "student.scores: more examples are right than there are"),
        (put(None, "student", "control_scores"), "student.control_scores are missing"),
        (put(None, "artifacts", 3, "scores"), "scores of android/tiny_int8.tflite are missing"),
        (drop(*INT8_CATS), "scores of android/tiny_int8.tflite: they are of other classes"),
        (
            both(put(3, *INT8_CATS, "right"), put(3, *INT8_CATS, "predicted")),
            "scores of android/tiny_int8.tflite: they count",
        ),
        (put(None, "artifacts", 3, "recall_changes"), "have the reference None, not 'teacher'"),
        (
            put({"cat": {"lost": 9, "gained": 0}}, "student", "recall_changes", "classes"),
            "recall_changes of student contradict the examples of",
        ),
        (put("control", "artifacts", 3, "recall_changes", "reference"), "have the reference 'control', not 'teacher'"),
        (
            put({"cat": {"lost": 2, "gained": 0}}, "artifacts", 3, "recall_changes", "classes"),
            "recall_changes of android/tiny_int8.tflite contradict the examples of",
        ),
        (put({"cat": 0.5}, "recipe", "gates", "min_recall"), "its recipe promises {'cat': 0.5}"),
        (drop("recipe", "export", "thresholds"), "does not say whether thresholds are chosen"),
        (
            put({"cat": {"promise": 0.5, "value": 0.5, "images": 3, "recall": 1.0, "precision": 1.0}}, "thresholds"),
            "thresholds are stated for {'cat': 0.5}, its recipe promises {}",
        ),
        (
            put({"cat": {"promise": 0.5, "value": 0.5, "images": 3, "recall": 1.0, "precision": 1.0}}, "thresholds"),
            "scores_with_thresholds of student are missing",
        ),
        (
            put({"cat": {"promise": 0.5, "value": 0.5, "images": 3, "recall": 0.5, "precision": 1.0}}, "thresholds"),
            "the recall of the threshold of 'cat' is no whole number of 3 validation examples",
        ),
    ],
)
def test_scores_of_classes_follow_from_their_counts(good: Path, change: Change, message: str) -> None:
    assert message in "; ".join(class_consistency.contradictions(changed(good, change)))


def test_a_bundle_of_an_earlier_version_has_no_scores(good: Path) -> None:
    manifest = changed(good, drop("recipe", "export", "thresholds"))
    for each in (manifest.student, *manifest.teachers, *manifest.artifacts):
        each.scores = None
    manifest.student.control_scores = None
    assert not list(class_consistency.contradictions(manifest))


def changed(good: Path, change: Change) -> Manifest:
    manifest = json.loads((good / "manifest.json").read_text())
    change(manifest)
    return Manifest.model_validate_json(json.dumps(manifest), strict=True)


def gates_of(manifest: Manifest) -> list[str]:
    try:
        return list(verdicts.contradictions(manifest))
    except VerifyError as error:
        return [str(error)]


def flip(label: str) -> Change:
    """Adds an image that only the teacher predicts rightly to those of a file."""

    def change(manifest: dict[str, Any]) -> None:
        flips = manifest["artifacts"][0]["negative_flips"]
        flips["test"]["lost"] += 1
        flips["per_class"].append({"label": label, "flips": 1, "right": 1})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("other", "name"), "name is 'other', its recipe has 'tiny'"),
        (put(2, "seed"), "seed is 2, its recipe has 1"),
        (put("huge", "student", "model"), "student.model is 'huge', its recipe has 'tiny'"),
        (put("imagenet", "teachers", 1, "weights"), "teachers is"),
        (put("embedded:other", "data", "source"), "data.source is 'embedded:other'"),
        (put(64, "student", "image_size"), "student.image_size is 64"),
        (put([64, 64, 3], "student", "signature", "tensors", 0, "shape"), "student.signature is image (image: float32"),
        (put("text", "student", "signature", "kind"), "the kind of input is 'text', its recipe has 'image'"),
        (put("int8", "artifacts", 0, "precision"), "is said to be tflite int8, not tflite fp32"),
        (put(["fp32"], "recipe", "export", "tflite"), "is listed, which its recipe does not request"),
        (put(True, "recipe", "export", "onnx"), "onnx/tiny.onnx is not listed, which its recipe requests"),
        (put(0.99, "artifacts", 0, "accuracy"), "is 0.99, which is no whole number of 13 test examples"),
        (put(0.5, "artifacts", 0, "accuracy"), "accuracy of android/tiny_fp32.tflite is 0.5, of the student 1.0"),
        (put(6 / 13, "student", "accuracies", 0), "that of the exported seed is 1.0"),
        (put(9, "student", "exported_seed"), "student.exported_seed is 9, which is none of its seeds"),
        (put([7], "student", "seeds"), "student.seeds are [7]"),
        (put(None, "student", "control_accuracy"), "student.control_accuracy is None"),
        (put([], "student", "control_accuracies"), "student.control_accuracies are 0, its seeds 1"),
        (put(None, "student", "against_control"), "student.against_control is missing although there is a control"),
        (put(3, "student", "against_control", "gained"), "counts 3 examples against 0"),
        (put(0.5, "student", "against_control", "p_value"), "has p = 0.5; its counts give 1"),
        (put(None, "student", "negative_flips"), "student.negative_flips is missing although the teacher was measured"),
        (put(None, "artifacts", 2, "negative_flips"), "negative_flips of android/tiny_dynamic.tflite is missing"),
        (put(9, "student", "negative_flips", "right"), "is of 9 examples that the teacher predicts rightly"),
        (put(3, "artifacts", 0, "negative_flips", "test", "gained"), "counts 3 examples against 0"),
        (put(0.5, "artifacts", 0, "negative_flips", "test", "p_value"), "has p = 0.5; its counts give 1"),
        (put(1.0, "artifacts", 0, "agreement"), "counts more examples than the agreement 1.0 with the teacher allows"),
        (both(flip("cat"), put(0.5, "artifacts", 0, "agreement")), "counts 1 examples against 1"),
        (flip("cow"), "names a class twice, or one that is none of the classes"),
        (put(None, "teachers", 0, "accuracy"), "student.wrong_classes is stated without its networks"),
        (put(None, "teachers", 0, "accuracy"), "student.negative_flips is stated, but not both accuracies"),
        (put(None, "student", "wrong_classes"), "student.wrong_classes is missing"),
        (put(14, "student", "control_wrong_classes", "images"), "control_wrong_classes is of 14 examples, of 13"),
        (put(1 / 13, "teachers", 0, "accuracy"), "further apart than their agreement"),
        (put(99, "teachers", 0, "parameters"), "another number of parameters"),
        (put(0.25, "artifacts", 2, "chance", "balanced_accuracy"), "contradicts the balanced accuracy 0.25"),
        (put(0.25, "artifacts", 2, "chance", "chance_level"), "were tested against chance on other examples"),
        (put(1e-9, "artifacts", 2, "chance", "p_value"), "is less than the test split allows"),
        (put(None, "artifacts", 2, "chance"), "chance of android/tiny_dynamic.tflite is missing"),
        (put("no operator", "artifacts", 2, "not_verified"), "is stated although it was not run"),
        (put(1.0, "artifacts", 0, "mean_total_variation"), "which its max_abs_error"),
        (put(7, "comparison", 1, "bytes"), "bytes of student fp32 is 7"),
        (put(0.5, "comparison", 1, "accuracy"), "accuracy of student fp32 is 0.5"),
        (put(0.5, "comparison", 1, "drop"), "the drop of student fp32 is 0.5"),
        (put(0.5, "comparison", 1, "latency_ms"), "the latency of student fp32 is 0.5 ms"),
        (put(None, "comparison", 1, "latency_all_ms"), "the latency of student fp32 is None ms"),
        (put(99.0, "comparison", 1, "peak_memory_mb"), "the peak memory of student fp32 is 99.0 MB"),
        (put(99.0, "comparison", 1, "seconds"), "the seconds of student fp32 are 99.0"),
        (drop("comparison", 1), "the comparison has the rows teacher fp32, student fp16"),
        (put("unknown", "bench", 0, "artifact"), "the latency of unknown is stated"),
    ],
)
def test_one_number_in_several_places_must_be_equal(good: Path, change: Change, message: str) -> None:
    assert message in "; ".join(consistency.contradictions(changed(good, change)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 0], "not in the order in which tfkd draws them"),
        ([1, 2], "not in the order in which tfkd draws them"),
        ([0, -1], "1 golden examples have no label"),
        ([0, 2], "but 1 of its 2 golden predictions are correct"),
    ],
)
def test_golden_labels_must_agree_with_the_accuracies(good: Path, labels: list[int], message: str) -> None:
    manifest = changed(good, put("tiny", "name"))
    stored = golden.read(good, manifest.data.classes, manifest.signature)
    assert list(golden_labels.contradictions(stored, manifest)) == []
    other = replace(stored, labels=np.array(labels))
    assert message in "; ".join(golden_labels.contradictions(other, manifest))


def test_golden_predictions_too_often_wrong_for_the_accuracy_are_refused(good: Path) -> None:
    """Half of a thousand images may be wrong, and still not all of the golden ones by chance."""
    manifest = changed(good, both(put(1000, "data", "splits", "test"), put(0.9, "student", "accuracy")))
    stored = golden.read(good, manifest.data.classes, manifest.signature)
    many = replace(
        stored, labels=np.arange(9) % 3, expected={"keras": np.eye(3, dtype=np.float32)[(np.arange(9) + 1) % 3]}
    )
    (wrong,) = golden_labels.contradictions(many, manifest)
    assert wrong == "the accuracy of keras on 1,000 test examples is 0.9, but 0 of its 9 golden predictions are correct"


def test_values_in_two_files_or_twice_in_one_must_be_equal(copy: Path, apart: Apart) -> None:
    (copy / "recipe.json").write_text("{}")
    (copy / "evidence.json").write_text('{"confusion": {"variant": "it", "classes": 3, "cells": [[0, 0, 1]]}}')
    change_manifest(copy, put("2999-01-01T00:00:00Z", "created"))
    change_manifest(copy, lambda manifest: manifest["comparison"][4].update(compressed_bytes=4))
    seal(copy)
    checks = verify(copy, apart=apart)
    refused(checks, "numbers", "its recipe is another one than recipe.json (and 2 more contradictions)")
    refused(checks, INT8, "bytes deflated, not 4.")
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"seed": 1,', '"seed": 1, "seed": 1,', 1))
    seal(copy)
    refused(verify(copy, apart=apart), "manifest", "has two values of 'seed' in one place")
