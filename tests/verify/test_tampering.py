"""Bundles whose manifest or golden answers were changed and sealed again: nothing that is stated is trusted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tfkd.export import bundle
from tfkd.verify.apart import Answered, Apart
from tfkd.verify.bundle import verify

from .test_bundle import apart as apart
from .test_bundle import change_golden, change_manifest, described_anew, failures, refused
from .test_bundle import copy as copy
from .test_bundle import good as good
from .test_bundle import photos as photos

Change = Callable[[Any], None]
INT8, FP32, MLMODEL = "android/tiny_int8.tflite", "android/tiny_fp32.tflite", "ios/tiny.mlmodel"


def every(change: Change) -> Change:
    """Changes the entry of every golden image."""
    return lambda index: [change(entry) for entry in index["images"]] and None


def family(name: str, path: str, of: str = FP32) -> Change:
    """Adds answers of a family: those of a file's reference."""
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
            "has no answers of android/tiny_fp32.tflite as LiteRT's own",
        ),
        (lambda index: index["images"][0].pop("families"), "golden images", "000.png has no answers of litert_kernels"),
        (lambda index: index["images"][1].pop("families"), "golden images", "001.png has no answers of litert_kernels"),
        (
            every(lambda entry: entry["families"]["litert_kernels"].pop(INT8)),
            INT8,
            "has no answers of android/tiny_int8.tflite as LiteRT's own kernels",
        ),
        (family("xnnpack", FP32), FP32, "has two answers of LiteRT with XNNPACK"),
        (family("coreml_fp32", FP32), FP32, "has answers of Core ML in float32 of android/tiny_fp32.tflite, which it"),
        (family("litert_kernels", MLMODEL), MLMODEL, "has answers of LiteRT's own kernels of ios/tiny.mlmodel, which"),
        (family("litert_kernels", "android/x.tflite"), "golden images", "answers of android/x.tflite, which the manif"),
        (answers("android/x.tflite", [1.0, 0.0, 0.0]), "golden images", "answers of android/x.tflite, which the manif"),
        (family("a\n\x1b[31m", FP32), "golden images", "String should match pattern"),
        (
            answers(INT8, [0.0, 0.0, 0.0]),
            INT8,
            "the answers of android/tiny_int8.tflite as LiteRT with XNNPACK are all",
        ),
        (answers(INT8, [0.5, 0.5, 0.5]), INT8, "add up to 1.5, not to 1"),
        (answers(INT8, [1e308, 0.0, 0.0]), INT8, "are not all numbers"),
        (answers(INT8, ["0.5", "0.5", "0"]), "golden images", "Input should be a valid number"),
        (answers(INT8, [True, False, False]), "golden images", "Input should be a valid number"),
        (every(lambda entry: entry["probabilities"].pop("keras")), "golden images", "no answers of the Keras model"),
        (answers("keras", [0.0, 0.0, 0.0]), "golden images", "the answers of the Keras model are all zero"),
        (lambda index: index["images"].append(index["images"][0]), "golden images", "names an image twice"),
    ],
)
def test_golden_answers_that_are_not_whole_or_not_of_the_bundles_files(
    copy: Path, apart: Apart, change: Change, check: str, message: str
) -> None:
    change_golden(copy, change)
    bundle.seal(copy)
    found = [each for each in verify(copy, apart=apart) if each.verdict == "failed"]
    named = {each.name: each.found for each in found}
    assert message in named[check] and named[check].isprintable()


def test_the_answers_of_the_keras_model_are_those_of_the_float_files(copy: Path, apart: Apart) -> None:
    change_golden(copy, reversed_of("keras"))
    bundle.seal(copy)
    failed = failures(verify(copy, apart=apart))
    assert [check.name for check in failed] == [FP32, MLMODEL]
    assert "the answers of the Keras model and android/tiny_fp32.tflite are" in failed[0].found


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
def test_what_a_manifest_says_of_a_file_is_read_from_the_file(
    copy: Path, apart: Apart, field: str, value: Any, message: str
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        (artifact,) = [each for each in manifest["artifacts"] if each["path"] == INT8]
        artifact[field] = value

    change_manifest(copy, change)
    bundle.seal(copy)
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
    bundle.seal(copy)
    refused(verify(copy, apart=apart), dynamic, "0.001 off; 0.0001 is allowed")


def test_golden_images_that_are_too_few_or_all_the_same(copy: Path, apart: Apart) -> None:
    change_manifest(copy, lambda manifest: manifest["recipe"]["export"].update(golden_images=4))
    bundle.seal(copy)
    refused(verify(copy, apart=apart), "golden images", "has 2 golden images; the bundle was made with 4")
    change_manifest(copy, lambda manifest: manifest["recipe"]["export"].update(golden_images=2))
    Image.open(copy / "golden" / "000.png").save(copy / "golden" / "001.png")
    bundle.seal(copy)
    refused(verify(copy, apart=apart), "golden images", "all of the 2 golden images are the same")


def test_a_file_that_answers_the_same_to_all_images_fails_though_the_bundle_expects_that(
    copy: Path, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = [0.25, 0.5, 0.25]
    change_golden(copy, answers(INT8, row))
    change_golden(copy, every(lambda entry: entry["families"]["litert_kernels"].update({INT8: row})))
    bundle.seal(copy)

    def same(*arguments: Any) -> Answered:
        answered = run(*arguments)
        constant = arguments[1].name == Path(INT8).name
        rows = np.broadcast_to(np.float32(row), answered.probabilities.shape)
        return replace(answered, probabilities=rows if constant else answered.probabilities)

    run = Apart.run
    monkeypatch.setattr(Apart, "run", same)
    refused(verify(copy, apart=apart), INT8, "are the same for every image")


def test_that_a_file_could_not_be_run_is_tried_again(copy: Path, apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    def unverified(manifest: dict[str, Any]) -> None:
        (artifact,) = [each for each in manifest["artifacts"] if each["path"] == INT8]
        artifact["not_verified"] = "operator 'x'"

    def without(entry: dict[str, Any]) -> None:
        for probabilities in (entry["probabilities"], *entry["families"].values()):
            del probabilities[INT8]

    change_manifest(copy, unverified)
    change_golden(copy, every(without))
    bundle.seal(copy)
    (check,) = failures(verify(copy, apart=apart))
    assert (check.name, check.verdict) == (INT8, "not judged") and "operator 'x'" in check.found

    def zeros(*arguments: Any) -> Answered:
        answered = run(*arguments)
        return replace(answered, probabilities=answered.probabilities * (arguments[1].name != Path(INT8).name))

    run = Apart.run
    monkeypatch.setattr(Apart, "run", zeros)
    refused(verify(copy, apart=apart), INT8, "its answers are all zero")
