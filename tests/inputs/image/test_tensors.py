import keras
import pytest

from tfkd.errors import RequestError
from tfkd.inputs import kind_of
from tfkd.inputs.image.tensors import describe, side_of, signature, signature_of
from tfkd.recipe import Data


def model(*shape: int | None) -> keras.Model:
    image = keras.Input(shape)
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)), name="mine")


def test_the_recipe_gives_the_size() -> None:
    data = Data(source="folder:photos", image_size=64)
    assert kind_of("image").reading(data, {}).signature(data) == signature(64)
    assert side_of(signature(64)) == 64


def test_a_model_gives_its_own_size() -> None:
    assert signature_of(model(48, 48, 3)) == signature(48)


@pytest.mark.parametrize("shape", [(48, 40, 3), (48, 48, 1), (48, 3)])
def test_a_model_of_anything_but_a_square_rgb_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RequestError, match=r"'mine' takes .*, not one square RGB image"):
        signature_of(model(*shape))


def test_a_model_that_leaves_its_size_free_is_refused() -> None:
    image = keras.Input((None, None, 3))
    free = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image), name="mine")
    with pytest.raises(RequestError, match=r"build it for one size: keras\.Input"):
        signature_of(free)


def test_files_describe_that_the_model_normalises() -> None:
    described = describe(signature(32))
    assert "normalises" in described.tflite and "normalises" in described.coreml
    assert described.properties == {"colours": "RGB", "height": 32, "width": 32}
