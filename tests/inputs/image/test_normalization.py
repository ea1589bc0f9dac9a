"""Normalizations: read from words and numbers in the right unit, and equal in NumPy, Keras and files."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkd.errors import RequestError
from tfkd.inputs.image.normalization import ImageNormalization, parse
from tfkd.models.pixels import in_front

PHOTOS = np.random.default_rng(5).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
TORCH = (PHOTOS / 255 - MEAN) / STD
CAFFE = PHOTOS[..., ::-1] - np.array([103.939, 116.779, 123.68])

EXPECTED = {
    "none": PHOTOS.astype(np.float64),
    "tf": PHOTOS / 127.5 - 1,
    "torch": TORCH,
    "caffe": CAFFE,
    "127.5,127.5": PHOTOS / 127.5 - 1,
    "0,255": PHOTOS / 255,
    "123.675,116.28,103.53,58.395,57.12,57.375": TORCH,
    "0.485,0.456,0.406,0.229,0.224,0.225": TORCH,
    "0.5,0.5": PHOTOS / 127.5 - 1,
    "0.1307,0.3081": (PHOTOS / 255 - 0.1307) / 0.3081,
    " Torch ": TORCH,
    "bgr": PHOTOS[..., ::-1].astype(np.float64),
    "bgr,0,255": PHOTOS[..., ::-1] / 255,
    "BGR, 103.939,116.779,123.68,1,1,1": CAFFE,
    "bgr,torch": (PHOTOS[..., ::-1] / 255 - MEAN) / STD,
    "bgr,none": PHOTOS[..., ::-1].astype(np.float64),
    "bgr,caffe": CAFFE,
}


@pytest.mark.parametrize("text", EXPECTED)
def test_words_and_numbers_normalise_as_the_libraries_do(text: str) -> None:
    np.testing.assert_allclose(parse(text)(PHOTOS), EXPECTED[text], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("text", EXPECTED)
def test_a_keras_model_normalises_as_numpy_does_before_and_after_saving(tmp_path: Path, text: str) -> None:
    body = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    model = in_front(parse(text), body)
    model.save(tmp_path / "m.keras")
    for each in (model, keras.saving.load_model(tmp_path / "m.keras")):
        pixels = np.asarray(each(PHOTOS.astype(np.float32)))
        np.testing.assert_allclose(pixels, parse(text)(PHOTOS).reshape(2, -1), rtol=1e-5, atol=1e-4)
        assert not each.weights


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_the_words_are_those_of_keras_applications(mode: str) -> None:
    theirs = keras.applications.imagenet_utils.preprocess_input(PHOTOS.astype(np.float32), mode=mode)
    np.testing.assert_allclose(parse(mode)(PHOTOS), theirs, rtol=1e-5, atol=1e-4)


def test_the_conversion_of_numbers_for_pixels_from_0_to_1_is_reported() -> None:
    assert str(parse("0.5,0.5")) == "(RGB from 0 to 255 - 127.5) / 127.5, converted from numbers for pixels from 0 to 1"
    assert "pixels from 0 to 1" not in str(parse("127.5,127.5"))
    assert str(parse("caffe")).startswith("(BGR from 0 to 255 - 103.939,116.779,123.68) / 1")
    assert str(parse("bgr")) == "BGR from 0 to 255"


@pytest.mark.parametrize(
    "text", ["", "1", "0.5,0", "1,-1", "a,b", "1,2,3", "nan,1", "1,inf", "rgb", "bgr,1", "tf,torch"]
)
def test_an_unknown_normalization_is_refused_with_all_forms(text: str) -> None:
    with pytest.raises(RequestError, match=r"is not a normalization.*caffe.*0,255"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1", "is ambiguous"),
        ("0,0,0,1,1,1", "is ambiguous"),
        ("0,0.00392157", "write 0,255"),
        ("123.675,116.28,103.53,0.229,0.224,0.225", "mixes"),
        ("0.485,0.456,0.406,58.395,57.12,57.375", "mixes"),
        ("0.5,255", "mixes"),
        ("127.5,0.5", "mixes"),
    ],
)
def test_numbers_in_ambiguous_units_are_refused(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        parse(text, "teachers.0.normalization")
    assert str(caught.value).startswith("teachers.0.normalization") and "\n" not in str(caught.value)


def test_equal_pixels_are_recognised_however_they_were_written() -> None:
    assert parse("0.5,0.5").same_as(parse("tf")) and parse("bgr,caffe").same_as(parse("caffe"))
    assert not parse("bgr").same_as(ImageNormalization())


def test_usual_normalizations_are_less_rare_than_unusual_ones() -> None:
    words = ("0,255", "caffe", "bgr,0,255", "123.68,116.779,103.939,1,1,1")
    assert [parse(each).rarity for each in words] == [0, 1, 2, 3]
