"""Golden predictions compared with those of runtime families."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfkd.bundle.golden_answers import compare
from tfkd.formats import FORMATS

EVIDENCE = Path(__file__).resolve().parents[2] / "docs" / "evidence" / "runtime_families.json"
XNNPACK = np.float32([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
KERNELS = np.float32([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
BOTH = {"xnnpack": XNNPACK, "litert_kernels": KERNELS}
TOLERANCES = {"xnnpack": 0.01, "litert_kernels": 0.01}


@pytest.mark.parametrize(("answers", "family"), [(XNNPACK, "xnnpack"), (KERNELS, "litert_kernels")])
def test_the_family_that_matches_is_named(answers: np.ndarray, family: str) -> None:
    found = compare(answers, BOTH, TOLERANCES, None)
    assert (found.passed, found.family, found.error, found.top1_equal) == (True, family, 0, 1)


def test_where_none_matches_the_nearest_is_named() -> None:
    found = compare(0.8 * XNNPACK + 0.2 * KERNELS, BOTH, TOLERANCES, None)
    assert (found.passed, found.family, found.fault) == (False, "xnnpack", None)
    assert found.error == pytest.approx(0.02, abs=1e-6)


def test_swaps_of_equal_classes_are_reported() -> None:
    """No probability of a thousand differs by more than 2e-3, and half of the mass is elsewhere."""
    draw = np.random.default_rng(0)
    right = draw.uniform(0, 2e-3, (4, 1000)).astype(np.float32)
    right /= right.sum(axis=1, keepdims=True)
    found = compare(right[:, ::-1], {"xnnpack": right}, {"xnnpack": 0.04}, None)
    assert found.error < 0.04 and not found.passed
    assert found.fault is not None and "of the probability to other classes" in found.fault


def test_nothing_that_is_no_number_passes() -> None:
    found = compare(XNNPACK * np.nan, BOTH, dict.fromkeys(BOTH, np.inf), None)
    assert (found.passed, found.error) == (False, np.inf)


def test_tolerances_rest_on_what_was_measured() -> None:
    """None is below the largest difference within its family, and none is three times as wide, or two output steps."""
    largest: dict[tuple[str, float], float] = {}
    for row in json.loads(EVIDENCE.read_text())["within_families"]:
        key = row["family"], FORMATS[row["format"]].precision(row["precision"]).tolerances[row["family"]]
        largest[key] = max(largest.get(key, 0), row["probability"]["max"])
    for (family, tolerance), measured in largest.items():
        assert measured <= tolerance <= max(3 * measured, 2 / 256), family
    assert {"xnnpack", "litert_kernels", "coreml_fp16", "onnxruntime"} == {family for family, _ in largest}


def test_every_runtime_matched_the_golden_predictions_of_the_quickstart_bundle() -> None:
    found = json.loads(EVIDENCE.read_text())["golden"]
    refused = {(row["file"].rpartition("_")[2], row["runtime"].split()[0]) for row in found if "refused" in row}
    assert refused == {("dynamic.tflite", "tflite-runtime")}
    assert all(row["passed"] for row in found if "refused" not in row) and len(found) == 40


def test_predictions_within_a_wide_tolerance_must_distinguish_the_images() -> None:
    """The predictions of another image, and the mean prediction, are within 0.04 where the network is unsure."""
    right = np.float32([[0.52, 0.48], [0.49, 0.51], [0.505, 0.495]])
    near, mean = right + np.float32([[0.005, -0.005]]), right.mean(axis=0) + np.float32([[1e-4], [0], [0]])
    for answers, passed in ((right, True), (near, True), (mean, False), (right[::-1], False)):
        found = compare(answers, {"xnnpack": right}, {"xnnpack": 0.04}, None)
        assert found.error < 0.04 and found.passed == passed
    level = np.float32([[0.501, 0.499], [0.5, 0.5], [0.499, 0.501]])
    assert compare(level[::-1], {"xnnpack": level}, {"xnnpack": 0.04}, None).passed, "rounding is no difference"
