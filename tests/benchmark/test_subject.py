import json
import os

import numpy as np
import pytest

from tfkd.benchmark.subject import Expected, of_bundle, of_files
from tfkd.bundle.results import GoldenCheck
from tfkd.errors import RequestError
from tfkd.formats.families import FAMILIES
from tfkd.formats.tflite import TFLITE


def golden_of(folder):
    return json.loads((folder / "golden" / "golden.json").read_text())


def test_a_bundle_has_files_images_and_golden_predictions(shipped):
    subject = of_bundle(shipped)
    assert list(subject.paths) == ["android/heavy.tflite", "android/light.tflite"]
    assert subject.images.shape == (3, 32, 32, 3) and subject.images.dtype == np.uint8
    probabilities = [each["probabilities"]["android/light.tflite"] for each in golden_of(shipped)["images"]]
    np.testing.assert_array_equal(
        subject.expected["android/light.tflite"].answers["xnnpack"], np.float32(probabilities)
    )


def test_a_pattern_chooses_files(shipped):
    assert list(of_bundle(shipped, only="*light*").paths) == ["android/light.tflite"]
    with pytest.raises(RequestError, match=r"No file of .* is called 'android/lihgt.tflite'.*Did you mean"):
        of_bundle(shipped, only="android/lihgt.tflite")
    with pytest.raises(RequestError, match="holds no mlpackage file"):
        of_bundle(shipped, ("mlpackage",))


def test_a_file_that_was_changed_is_not_measured(shipped):
    with (shipped / "android" / "light.tflite").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(RequestError, match=r"light\.tflite is not the file of the manifest"):
        of_bundle(shipped)
    (shipped / "android" / "light.tflite").unlink()
    with pytest.raises(RequestError, match="no such file"):
        of_bundle(shipped)


@pytest.mark.parametrize("inside", ["../heavy.tflite", "/etc/passwd", "android/../../x"])
def test_a_manifest_cannot_name_files_outside(shipped, inside):
    manifest = json.loads((shipped / "manifest.json").read_text())
    manifest["artifacts"][0]["path"] = inside
    (shipped / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RequestError, match="outside the bundle"):
        of_bundle(shipped)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda golden: golden["images"][0].update(file="../manifest.json"), "file"),
        (
            lambda golden: golden["images"][0]["probabilities"].update({"android/light.tflite": [1.0]}),
            "one probability",
        ),
        (lambda golden: golden.pop("classes"), "classes"),
        (
            lambda golden: [each["families"].update(xnnpack=each["probabilities"]) for each in golden["images"]],
            "two predictions of LiteRT with XNNPACK",
        ),
        (lambda golden: golden["images"][0].update(file="777.png"), "cannot be read"),
    ],
)
def test_damaged_golden_predictions_are_named(shipped, change, message):
    golden = golden_of(shipped)
    change(golden)
    (shipped / "golden" / "golden.json").write_text(json.dumps(golden))
    with pytest.raises(RequestError, match=message) as caught:
        of_bundle(shipped)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["manifest.json", "android/light.tflite", "golden/000.png", "golden/golden.json"])
def test_a_pipe_is_refused_and_not_waited_for(shipped, name):
    (shipped / name).unlink()
    os.mkfifo(shipped / name)
    with pytest.raises(RequestError, match=r"is no file|is a link or a device"):
        of_bundle(shipped, ("tflite",))


def test_a_golden_image_that_is_none_is_named(shipped):
    (shipped / "golden" / "000.png").write_bytes(b"GIF89a")
    with pytest.raises(RequestError, match="is no PNG image"):
        of_bundle(shipped)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(RequestError, match="no such file"):
        of_files({"gone": tmp_path / "gone.tflite"})


OURS = np.float32([[0.9, 0.1], [0.5, 0.5]])
THEIRS = np.float32([[0.8, 0.2], [0.4, 0.6]])


def expected(precision="int8", families=(("xnnpack", OURS), ("litert_kernels", THEIRS)), **tolerances):
    allowed = {name: tolerances.get(name, 0.01) for name in FAMILIES}
    return Expected("tflite", precision, dict(families), allowed)


def test_predictions_are_compared_by_their_largest_difference():
    xnnpack = ("xnnpack",)
    close = expected().compare(np.float32([[0.9, 0.1], [0.495, 0.505]]), xnnpack)
    assert close.passed and close.checked == 2 and close.top1_equal == 0.5
    assert close.max_abs_error == pytest.approx(0.005, abs=1e-6)
    assert not expected().compare(np.float32([[0.9, 0.1], [0.4, 0.6]]), xnnpack).passed
    nonsense = expected().compare(np.float32([[0.9, np.nan], [0.5, 0.5]]), xnnpack)
    assert (nonsense.passed, nonsense.fault, nonsense.max_abs_error) == (False, "are not all numbers", 1)
    with pytest.raises(RequestError, match="shape"):
        expected().compare(np.float32([[0.9, 0.1]]), xnnpack)


def test_only_the_families_that_a_runtime_can_be_are_accepted_and_the_result_names_the_one_that_matched():
    both = ("xnnpack", "litert_kernels")
    assert [expected().compare(each, both).family for each in (OURS, THEIRS)] == list(both)
    refused = expected().compare(THEIRS, ("xnnpack",))
    assert (refused.passed, refused.family) == (False, "xnnpack")
    assert not expected().compare(OURS, ("litert_kernels",)).passed
    between = expected(xnnpack=0.5, litert_kernels=0.01).compare(np.float32([[0.85, 0.15], [0.45, 0.55]]), both)
    assert (between.passed, between.family, between.tolerance) == (True, "xnnpack", 0.5)


def test_a_family_without_predictions_is_compared_only_through_its_substitute():
    old = expected(families=[("xnnpack", OURS)])
    assert old.compare(THEIRS, ("litert_kernels",)) is None
    gpu = old.compare(OURS, ("litert_gpu",))
    assert gpu.passed and gpu.family == "litert_gpu"


@pytest.mark.parametrize(
    ("stated", "delegate", "passed"),
    [
        ({"family": "xnnpack"}, "xnnpack", True),
        ({"family": "litert_gpu"}, "gpu", True),
        ({"family": "xnnpack"}, "gpu", False),
        ({"family": "litert_kernels"}, "xnnpack", False),
        ({"family": "of_tomorrow"}, "xnnpack", False),
        ({"family": None}, "xnnpack", True),
        ({"max_abs_error": 0.02, "tolerance": 0.5}, "xnnpack", False),
        ({"max_abs_error": 0.009, "tolerance": 0.001}, "xnnpack", False),
        ({"fault": "are all zero"}, "xnnpack", False),
        ({"passed": False, "max_abs_error": 0.02}, "xnnpack", False),
    ],
)
def test_what_an_app_compared_is_judged_again(stated, delegate, passed):
    good = {"checked": 2, "max_abs_error": 0.005, "tolerance": 0.01, "top1_equal": 1, "passed": True}
    judged = expected().rejudged(GoldenCheck(**{"family": "xnnpack", **good, **stated}), delegate)
    assert judged.passed is passed and judged.tolerance <= 0.5
    if stated.get("family", "xnnpack") is None:
        assert judged.family == "xnnpack"


def test_a_bundle_cannot_widen_a_tolerance(shipped):
    manifest = json.loads((shipped / "manifest.json").read_text())
    manifest["artifacts"][0]["golden_tolerances"] = {"xnnpack": 1.0, "litert_kernels": 1e-7, "of_tomorrow": 1.0}
    (shipped / "manifest.json").write_text(json.dumps(manifest))
    tolerances = of_bundle(shipped).expected["android/heavy.tflite"].tolerances
    assert tolerances["xnnpack"] == TFLITE.precisions["fp32"].tolerances["xnnpack"]
    assert tolerances["litert_kernels"] == 1e-7
