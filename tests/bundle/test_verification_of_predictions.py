"""`tfkd verify` runs every file as every family of runtimes and compares the golden predictions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bundle.changes import change_golden, change_manifest, failures, refused
from tfkd.bundle.seal import seal
from tfkd.bundle.verification import verify
from tfkd.verification.apart import Answered, Apart

pytestmark = pytest.mark.slow


def of_int8(entry: dict[str, Any], family: str | None = None) -> dict[str, list[float]]:
    """Returns the mapping that holds the int8 file's predictions for an image, by path."""
    answers: dict[str, list[float]] = entry["families"][family] if family else entry["probabilities"]
    assert "android/tiny_int8.tflite" in answers
    return answers


def set_answers(copy: Path, change: Callable[[dict[str, Any]], None]) -> None:
    change_golden(copy, lambda index: [change(entry) for entry in index["images"]] and None)
    seal(copy)


def test_files_are_run_with_xnnpack_and_with_litert_s_own_kernels(copy: Path, apart: Apart) -> None:
    (check,) = [check for check in verify(copy, apart=apart) if check.name == "android/tiny_int8.tflite"]
    assert "LiteRT with XNNPACK 0.0e+00 off" in check.found and "LiteRT's own kernels 0.0e+00 off" in check.found
    path = "android/tiny_int8.tflite"
    set_answers(copy, lambda entry: of_int8(entry, "litert_kernels")[path].reverse())
    (failed,) = failures(verify(copy, apart=apart))
    assert failed.name == path and "(LiteRT's own kernels)" in failed.found


def test_missing_predictions_of_a_family_are_reported(copy: Path, apart: Apart) -> None:
    """As tfkd 0.1.0 made them: without tolerances, and without what a runtime needs."""

    def older(manifest: dict[str, Any]) -> None:
        for artifact in manifest["artifacts"]:
            for name in ("golden_tolerances", "min_runtime", "operator_versions"):
                del artifact[name]

    change_manifest(copy, older)
    set_answers(copy, lambda entry: entry.pop("families"))
    checks = verify(copy, apart=apart)
    assert not failures(checks)
    found = [check.found for check in checks if check.name.endswith(".tflite")]
    assert len(found) == 4 and all("no golden predictions of LiteRT's own kernels" in each for each in found)


def test_families_of_later_versions_are_ignored_with_words(copy: Path, apart: Apart) -> None:
    set_answers(copy, lambda entry: entry["families"].update({"of_tomorrow": ["of", {"another": "form"}]}))
    checks = verify(copy, apart=apart)
    assert not failures(checks)
    (check,) = [check for check in checks if check.name == "golden examples"]
    assert "ignored: predictions of 'of_tomorrow', unknown to this version" in check.found


@pytest.mark.parametrize("labels", [2, [2], [1.0], ["cat"], [[0.1, 0.2, 0.7]], None])
@pytest.mark.parametrize("family", [None, "litert_kernels"])
def test_golden_predictions_must_be_probabilities_per_class(
    copy: Path, apart: Apart, family: str | None, labels: Any
) -> None:
    set_answers(copy, lambda entry: of_int8(entry, family).update({"android/tiny_int8.tflite": labels}))
    checks = verify(copy, apart=apart)
    refused(checks, "golden examples", "android/tiny_int8.tflite")
    assert {check.verdict for check in checks[-6:]} == {"not judged"}, "there is nothing to run them on"


def test_a_tolerance_in_the_manifest_counts_only_if_narrower(copy: Path, apart: Apart) -> None:
    path = "android/tiny_int8.tflite"

    def move(entry: dict[str, Any]) -> None:
        first, second, third = of_int8(entry)[path]
        by = 0.1 if first < 0.5 else -0.1
        of_int8(entry)[path] = [first + by, second - by, third]

    def stated(value: float) -> Callable[[dict[str, Any]], None]:
        return lambda manifest: (
            [artifact["golden_tolerances"].update(xnnpack=value) for artifact in manifest["artifacts"]] and None
        )

    set_answers(copy, move)
    change_manifest(copy, stated(1.0))
    seal(copy)
    refused(verify(copy, apart=apart), path, "0.0078 is allowed")

    change_manifest(copy, stated(0.0))
    seal(copy)
    refused(verify(copy, apart=apart), path, " 0 is allowed")


def test_a_file_of_zero_predictions_fails_even_if_the_bundle_expects_them(
    copy: Path, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "android/tiny_int8.tflite"

    def zeros(*arguments: Any) -> Answered:
        answered = run(*arguments)
        return replace(answered, probabilities=answered.probabilities * (arguments[1].name != Path(path).name))

    run = Apart.run
    monkeypatch.setattr(Apart, "run", zeros)
    refused(verify(copy, apart=apart), path, "its predictions are all zero")
    set_answers(copy, lambda entry: of_int8(entry).update({path: [0.0, 0.0, 0.0]}))
    refused(verify(copy, apart=apart), path, "android/tiny_int8.tflite as LiteRT with XNNPACK are all zero")
