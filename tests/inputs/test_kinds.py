import subprocess
import sys

import pytest

from tfkd.errors import RequestError
from tfkd.inputs import KINDS, kind_of, signature_of


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_its_own_name(name: str) -> None:
    assert kind_of(name).name == name


def test_an_unknown_kind_is_named_with_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"no kind of input 'imgae'. Did you mean 'image'\?"):
        kind_of("imgae")


def test_a_kind_is_known_without_tensorflow() -> None:
    code = "import sys; from tfkd.inputs import kind_of; kind_of('image'); print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_model_is_taken_for_the_kind_whose_input_it_has() -> None:
    import keras

    image = keras.Input((32, 32, 3))
    assert signature_of(keras.Model(image, image)).kind == "image"
    numbers = keras.Input((8,))
    with pytest.raises(RequestError, match=r"takes \(None, 8\), not one square RGB image"):
        signature_of(keras.Model(numbers, numbers))


@pytest.mark.parametrize(("name", "what"), [("text", "ids of texts"), ("table", "the values of rows")])
def test_what_is_no_image_has_no_normalization(name: str, what: str) -> None:
    with pytest.raises(RequestError, match=f"^teachers.0.normalization = 'torch': {what} are not normalised"):
        kind_of(name).normalization("torch", "teachers.0.normalization")
    assert kind_of(name).normalization("none", "teachers.0.normalization") is None
