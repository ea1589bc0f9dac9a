import json

import numpy as np
import pytest

from tfkd.bench.subject import Expected, of_bundle, of_files
from tfkd.errors import RequestError


def golden_of(folder):
    return json.loads((folder / "golden" / "golden.json").read_text())


def test_a_bundle_brings_its_files_images_and_answers(shipped):
    subject = of_bundle(shipped)
    assert list(subject.paths) == ["android/heavy.tflite", "android/light.tflite"]
    assert subject.images.shape == (3, 32, 32, 3) and subject.images.dtype == np.uint8
    wanted = [each["probabilities"]["android/light.tflite"] for each in golden_of(shipped)["images"]]
    np.testing.assert_array_equal(subject.expected["android/light.tflite"].probabilities, np.float32(wanted))


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
    ("change", "said"),
    [
        (lambda golden: golden["images"][0].update(file="../manifest.json"), "file"),
        (
            lambda golden: golden["images"][0]["probabilities"].update({"android/light.tflite": [1.0]}),
            "one probability",
        ),
        (lambda golden: golden.pop("classes"), "classes"),
        (lambda golden: golden["images"][0].update(file="777.png"), "cannot be read"),
    ],
)
def test_damaged_golden_answers_are_named(shipped, change, said):
    golden = golden_of(shipped)
    change(golden)
    (shipped / "golden" / "golden.json").write_text(json.dumps(golden))
    with pytest.raises(RequestError, match=said) as caught:
        of_bundle(shipped)
    assert "\n" not in str(caught.value)


def test_a_golden_image_that_is_none_is_named(shipped):
    (shipped / "golden" / "000.png").write_bytes(b"GIF89a")
    with pytest.raises(RequestError, match="is no PNG image"):
        of_bundle(shipped)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(RequestError, match="no such file"):
        of_files({"gone": tmp_path / "gone.tflite"})


def test_answers_are_compared_by_their_largest_difference():
    expected = Expected(np.float32([[0.9, 0.1], [0.5, 0.5]]), tolerance=0.01)
    close = expected.compare(np.float32([[0.9, 0.1], [0.495, 0.505]]))
    assert close.passed and close.checked == 2 and close.top1_equal == 0.5
    assert close.max_abs_error == pytest.approx(0.005, abs=1e-6)
    assert not expected.compare(np.float32([[0.9, 0.1], [0.4, 0.6]])).passed
    assert not expected.compare(np.float32([[0.9, np.nan], [0.5, 0.5]])).passed
    with pytest.raises(RequestError, match="shape"):
        expected.compare(np.float32([[0.9, 0.1]]))
