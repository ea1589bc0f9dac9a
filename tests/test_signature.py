import keras
import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from tfkd.errors import RequestError
from tfkd.signature import InputTensor, Signature

IMAGE = Signature("image", (InputTensor("image", (32, 32, 3), "float32", (0.0, 255.0)),))
TOKENS = Signature(
    "text",
    (InputTensor("ids", (16,), "int32", (0.0, 999.0)), InputTensor("mask", (16,), "int32", (0.0, 1.0))),
)
SOUND = Signature("audio", (InputTensor("samples", (None,), "float32", (-1.0, 1.0)),))
STRING = Signature("text", (InputTensor("text", (), "string"),))


def model(**inputs: keras.KerasTensor) -> keras.Model:
    flat = [keras.layers.Flatten()(keras.ops.cast(each, "float32")) for each in inputs.values()]
    input_or_inputs = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    return keras.Model(input_or_inputs, keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0], name="mine")


@pytest.mark.parametrize("signature", [IMAGE, TOKENS, SOUND, STRING])
def test_a_signature_survives_json(signature: Signature) -> None:
    stored = TypeAdapter(Signature)
    assert stored.validate_json(stored.dump_json(signature), strict=True) == signature


def test_the_spec_of_one_tensor_is_a_spec_and_of_several_a_dictionary() -> None:
    assert IMAGE.spec() == tf.TensorSpec((None, 32, 32, 3), tf.float32, name="image")
    assert STRING.spec(2) == tf.TensorSpec((2,), tf.string, name="text")
    assert TOKENS.spec(1) == {
        "ids": tf.TensorSpec((1, 16), tf.int32, name="ids"),
        "mask": tf.TensorSpec((1, 16), tf.int32, name="mask"),
    }


def test_only_a_single_tensor_is_single() -> None:
    assert IMAGE.single.name == "image"
    with pytest.raises(RequestError, match=r"2 tensors \(ids, mask\)"):
        TOKENS.single  # noqa: B018


def test_a_model_of_these_inputs_is_taken() -> None:
    IMAGE.require_taken_by(model(photo=keras.Input((32, 32, 3))), "The teacher")
    IMAGE.require_taken_by(model(photo=keras.Input((32, 32, 3), dtype="bfloat16")), "The teacher")
    ids, mask = keras.Input((16,), dtype="int32", name="ids"), keras.Input((16,), dtype="int32", name="mask")
    TOKENS.require_taken_by(model(mask=mask, ids=ids), "The teacher")


def test_a_free_side_of_a_model_takes_any() -> None:
    image = keras.Input((None, None, 3))
    IMAGE.require_taken_by(keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)), "The teacher")


@pytest.mark.parametrize(
    "inputs",
    [
        {"photo": ((32, 32, 1), "float32")},
        {"photo": ((32, 32), "float32")},
        {"photo": ((32, 32, 3), "int32")},
        {"photo": ((32, 32, 3), "float32"), "more": ((2,), "float32")},
    ],
)
def test_a_model_of_other_inputs_is_refused(inputs: dict[str, tuple[tuple[int, ...], str]]) -> None:
    tensors = {name: keras.Input(shape, dtype=dtype, name=name) for name, (shape, dtype) in inputs.items()}
    with pytest.raises(RequestError, match=r"The teacher takes .*photo: .*, not image \(image: float32 \[32, 32, 3\]"):
        IMAGE.require_taken_by(model(**tensors), "The teacher")


def test_several_tensors_are_compared_by_name() -> None:
    ids, other = keras.Input((16,), dtype="int32", name="ids"), keras.Input((16,), dtype="int32", name="segments")
    with pytest.raises(RequestError, match=r"takes ids: int32 \[16\]; segments: int32 \[16\]"):
        TOKENS.require_taken_by(model(ids=ids, segments=other), "The teacher")
