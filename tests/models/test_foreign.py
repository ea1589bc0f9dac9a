"""Models from elsewhere: every kind is opened with the outputs of the library that wrote it."""

import base64
import importlib
import json
import marshal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfkd.errors import RequestError
from tfkd.models.foreign import open_model
from tfkd.models.frozen_graph import is_frozen

SIZE, CLASSES = 16, 3
Source = Callable[..., Any]


def pixels(count: int = 3, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, size, size, 3)).astype(np.float32)


def outputs(model: Any, images: np.ndarray) -> np.ndarray:
    (output,) = tf.nest.flatten(model(images, training=False))
    return np.asarray(tf.cast(output, tf.float32))


def plain(k: Any, **options: Any) -> Any:
    image = k.Input((options.pop("size", SIZE),) * 2 + (3,), **options)
    x = k.layers.Rescaling(1 / 128, offset=-1.0)(image)
    x = k.layers.Conv2D(4, 3, strides=2, use_bias=False)(x)
    x = k.layers.BatchNormalization(beta_initializer="ones")(x)
    x = k.layers.GlobalAveragePooling2D()(k.layers.ReLU()(x))
    return k.Model(image, k.layers.Dense(CLASSES, activation="softmax")(x))


def sequential(k: Any) -> Any:
    """In Keras 2 the first layer takes batch_input_shape, which Keras 3 does not know."""
    first = {"input_shape": (SIZE, SIZE, 3)} if k is tf_keras else {}
    layers = [k.layers.Rescaling(1 / 255, **first), k.layers.RandomFlip(), k.layers.Conv2D(4, 3)]
    layers += [k.layers.DepthwiseConv2D(3), k.layers.Flatten(), k.layers.Dense(CLASSES)]
    model = k.Sequential(layers)
    model.build((None, SIZE, SIZE, 3))
    return model


def nested_and_shared(k: Any) -> Any:
    image = k.Input((SIZE, SIZE, 3), name="picture")
    body = plain(k)
    shared = k.layers.Dense(4, activation="relu")
    left, right = shared(body(image, training=False)), shared(body(k.layers.Rescaling(0.5)(image)))
    return k.Model({"picture": image}, {"classes": k.layers.Dense(CLASSES)(k.layers.Concatenate()([left, right]))})


def arithmetic() -> Any:
    """The usual operations before a backbone of tf.keras.applications, and the names in its MobileNetV3."""
    image = tf_keras.Input((SIZE, SIZE, 3))
    x = tf_keras.applications.mobilenet_v2.preprocess_input(image[:, :, :, ::-1])
    x = tf.nn.relu6(tf_keras.layers.Conv2D(4, 3, name="Conv/Conv2D")(x) / 16.0 + 3.0) * 0.5
    x = tf_keras.layers.Multiply(name="multiply")([x, x])
    return tf_keras.Model(image, tf_keras.layers.Dense(CLASSES)(tf.reduce_mean(x, axis=[1, 2])))


def special() -> Any:
    """tf.math.erf is in none of our tables, so the graph is used."""
    image = tf_keras.Input((SIZE, SIZE, 3))
    x = tf.math.erf(tf_keras.layers.Conv2D(4, 3)(image / 255.0))
    return tf_keras.Model(image, tf_keras.layers.Dense(CLASSES)(tf_keras.layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    ("make", "layered", "suffix"),
    [
        (lambda: plain(tf_keras), True, ".keras"),
        (lambda: sequential(tf_keras), True, ".h5"),
        (lambda: nested_and_shared(tf_keras), True, ".h5"),
        (lambda: nested_and_shared(tf_keras), True, ".keras"),
        (arithmetic, True, ".h5"),
        (special, False, ".keras"),
    ],
    ids=["plain-keras", "sequential-h5", "nested-h5", "nested-keras", "arithmetic-h5", "special-keras"],
)
def test_keras_2_files_predict_as_in_keras_2(tmp_path: Path, make: Source, layered: bool, suffix: str) -> None:
    tf_keras.utils.set_random_seed(2)
    theirs = make()
    theirs.save(tmp_path / f"old{suffix}")
    model = open_model(tmp_path / f"old{suffix}")
    assert is_frozen(model) is not layered
    np.testing.assert_allclose(outputs(model, pixels()), outputs(theirs, pixels()), rtol=1e-4, atol=1e-4)
    model.save(tmp_path / "again.keras")
    np.testing.assert_array_equal(outputs(open_model(tmp_path / "again.keras"), pixels()), outputs(model, pixels()))


@pytest.mark.parametrize(
    ("library", "name"),
    [(keras, "new.h5"), (keras, "no_suffix"), (tf_keras, "no_suffix"), (tf_keras, "wrong.h5.bak")],
)
def test_the_content_decides_and_not_the_suffix(tmp_path: Path, library: Any, name: str) -> None:
    theirs = plain(library)
    theirs.save(tmp_path / ("x.h5" if name.endswith((".h5", ".bak")) else "x.keras"))
    path = next(tmp_path.iterdir()).rename(tmp_path / name)
    np.testing.assert_allclose(outputs(open_model(path), pixels()), outputs(theirs, pixels()), atol=1e-5)


class Module(tf.Module):
    """A classifier without Keras, whose function is saved as it is."""

    def __init__(self, batch: int | None = None, dtype: Any = tf.float32, size: int | None = SIZE) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        self.kernel = tf.Variable(rng.normal(0, 0.1, (3, 3, 3, 4)).astype(np.float32))
        self.weight = tf.Variable(rng.normal(size=(4, CLASSES)).astype(np.float32))
        self.serve = tf.function(self._serve, input_signature=[tf.TensorSpec([batch, size, size, 3], dtype)])

    def _serve(self, image: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(tf.cast(image, tf.float32) / 255.0, self.kernel, 2, "SAME"))
        return {"classes": tf.nn.softmax(tf.reduce_mean(x, [1, 2]) @ self.weight)}


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.body = plain(keras)

    def call(self, images: Any) -> Any:
        return {"classes": self.body(images)}


def saved_by_keras(model: Any) -> Callable[[Path], Any]:
    def save(folder: Path) -> Any:
        model.export(folder, verbose=False) if isinstance(model, keras.Model) else model.save(folder, save_format="tf")
        return model

    return save


def saved_by_tensorflow(**options: Any) -> Callable[[Path], Any]:
    def save(folder: Path) -> Any:
        module = Module(**options)
        tf.saved_model.save(module, folder, signatures={"classify": module.serve})
        return lambda images, training: tf.concat(
            [module.serve(tf.cast(part, module.serve.input_signature[0].dtype))["classes"]
             for part in (images[:, None] if options.get("batch") else [images])], 0)  # fmt: skip

    return save


def subclassed() -> Any:
    model = Subclassed()
    model(pixels())
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("save", "size"),
    [
        (lambda folder: saved_by_keras(plain(tf_keras))(folder), None),
        (lambda folder: saved_by_keras(plain(keras))(folder), None),
        (lambda folder: saved_by_keras(subclassed())(folder), None),
        (saved_by_tensorflow(), None),
        (saved_by_tensorflow(batch=1), None),
        (saved_by_tensorflow(dtype=tf.uint8), None),
        (saved_by_tensorflow(size=None), SIZE),
    ],
    ids=["keras 2", "keras 3", "subclassed", "module", "batch of one", "bytes", "any size"],
)
def test_a_saved_model_becomes_a_file_of_its_own(tmp_path: Path, save: Callable[[Path], Any], size: int | None) -> None:
    theirs = save(tmp_path / "saved")
    model = open_model(tmp_path / "saved", image_size=size)
    assert model.input_shape == (None, SIZE, SIZE, 3)
    assert model.output_shape == (None, CLASSES)
    assert is_frozen(model) and not model.trainable_weights
    expected = outputs(theirs, pixels())
    np.testing.assert_allclose(outputs(model, pixels()), expected, atol=1e-5)
    model.save(tmp_path / "copy.keras")
    (tmp_path / "saved").rename(tmp_path / "gone")
    again = open_model(tmp_path / "copy.keras")
    np.testing.assert_allclose(again.predict(pixels(), verbose=0), expected, atol=1e-5)
    assert again.count_params() == model.count_params() > 50


@pytest.fixture
def policy(request: Any) -> Any:
    keras.config.set_dtype_policy(request.param)
    tf_keras.mixed_precision.set_global_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")
    tf_keras.mixed_precision.set_global_policy("float32")


def in_halves(k: Any) -> Any:
    body = nested_and_shared(k)
    end = k.layers.Activation("softmax", dtype="float32")(body.output["classes"])
    return k.Model(body.input, end)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        ("mixed_float16", "keras 3"),
        ("bfloat16", "keras 3"),
        ("mixed_bfloat16", "keras 2"),
        ("float16", "keras 2"),  # Keras 2 cannot load its own files whose weights are bfloat16
        ("float16", "keras 2 graph"),
        ("mixed_bfloat16", "keras 2 graph"),
        ("mixed_float16", "saved"),
        ("bfloat16", "saved"),
    ],
    indirect=["policy"],
)
def test_half_precision_becomes_float32(tmp_path: Path, policy: str, kind: str) -> None:
    k = keras if kind in ("keras 3", "saved") else tf_keras
    k.utils.set_random_seed(1)
    theirs = special() if kind == "keras 2 graph" else in_halves(k)
    path = tmp_path / "half.keras"
    path.with_suffix("").mkdir()
    if kind == "saved":
        path = path.with_suffix("")
        theirs.export(path, verbose=False)
    else:
        theirs.save(path)
    model = open_model(path)
    tensors = [model.inputs[0], model.outputs[0], *model.weights]
    assert {str(each.dtype) for each in tensors} == {"float32"}
    images = pixels()
    options = {"picture": images} if kind != "keras 2 graph" else images
    np.testing.assert_allclose(outputs(model, images), outputs(theirs, options), atol=0.05)
    operators = {
        tensor.dtype.name
        for operation in tf.function(model).get_concrete_function(images).graph.get_operations()
        for tensor in operation.outputs
    }
    assert not operators & {"float16", "bfloat16", "half"}


def test_operations_in_half_precision_become_float32(tmp_path: Path) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.ops.cast(keras.layers.Flatten()(image), "bfloat16") / 256
    keras.Model(image, keras.layers.Dense(CLASSES)(x)).save(tmp_path / "cast.keras")
    opened = open_model(tmp_path / "cast.keras")
    assert "bfloat16" not in json.dumps(keras.saving.serialize_keras_object(opened))


@pytest.mark.slow
def test_bytes_any_size_and_fixed_batches_are_taken_as_float32_images(tmp_path: Path) -> None:
    for number, options in enumerate(({"dtype": "uint8"}, {"size": None}, {"batch_size": 2})):
        theirs = plain(keras, **options)
        theirs.save(tmp_path / f"{number}.keras")
        model = open_model(tmp_path / f"{number}.keras", image_size=SIZE)
        assert (model.input_shape, str(model.inputs[0].dtype)) == ((None, SIZE, SIZE, 3), "float32")
        np.testing.assert_allclose(outputs(model, pixels(2)), outputs(theirs, pixels(2)), atol=1e-5)
    with pytest.raises(RequestError, match=r"any size, \(None, None, None, 3\); set one: `--image-size 224`"):
        open_model(tmp_path / "1.keras")


def test_several_outputs_are_named(tmp_path: Path) -> None:
    body = plain(keras)
    several = keras.Model(body.input, {"classes": body.output, "pooled": body.layers[-2].output})
    several.save(tmp_path / "two.keras")
    several.export(tmp_path / "two", verbose=False)
    for name in ("two.keras", "two"):
        message = r"outputs\[N\]" if name == "two.keras" else "Save a signature that gives the classes alone"
        with pytest.raises(
            RequestError, match=rf"has 2 outputs \(0: classes, 1: pooled\); a class.* has one\. .*{message}"
        ):
            open_model(tmp_path / name)


MODULE = """
import keras, tf_keras

@keras.saving.register_keras_serializable("mine")
class Scale(keras.layers.Layer):
    def __init__(self, by=1.0, **named):
        super().__init__(**named)
        self.by = by
    def call(self, x):
        return x * self.by
    def get_config(self):
        return {**super().get_config(), "by": self.by}

class Unregistered(keras.layers.Layer):
    def call(self, x):
        return x * 2.0

class Old(tf_keras.layers.Layer):
    def call(self, x):
        return x * 3.0
"""


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "layers_of_mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("layers_of_mine")
    forget()


def forget() -> None:
    sys.modules.pop("layers_of_mine", None)
    for library in (keras, tf_keras):
        known = library.saving.get_custom_objects()
        for name in [name for name, kind in known.items() if kind.__module__ == "layers_of_mine"]:
            del known[name]


@pytest.mark.parametrize("kind", ["Scale", "Unregistered", "Old"])
def test_custom_layers_come_by_the_module_that_defines_them(tmp_path: Path, custom: Any, kind: str) -> None:
    k = tf_keras if kind == "Old" else keras
    body = plain(k)
    model = k.Model(body.input, getattr(custom, kind)(name="mine")(body.output))
    model.save(tmp_path / "custom.keras")
    forget()
    with pytest.raises(RequestError, match=rf"custom class '{kind}'.*`--import layers_of_mine`") as caught:
        open_model(tmp_path / "custom.keras")
    assert "\n" not in str(caught.value)
    opened = open_model(tmp_path / "custom.keras", imports=["layers_of_mine"])
    np.testing.assert_allclose(outputs(opened, pixels()), outputs(model, pixels()), atol=1e-5)


def test_a_module_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(RequestError, match=r"Cannot import the module 'nowhere.py'.*not the file: 'nowhere'"):
        open_model(Path("any.keras"), imports=["nowhere.py"])


def run_when_loaded(flag: Path) -> str:
    code = compile(f"lambda x: [x, open({str(flag)!r}, 'w')][0]", "hostile", "eval").co_consts[0]
    return base64.b64encode(marshal.dumps(code)).decode()


def with_config(path: Path, change: Callable[[Any], None]) -> None:
    """Rewrite the configuration in a file."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config)
        return
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("attack", "library", "suffix"),
    [
        ("Lambda", keras, ".keras"),
        ("Lambda", keras, ".h5"),
        ("Lambda", tf_keras, ".keras"),
        ("Lambda", tf_keras, ".h5"),
        ("gfile", keras, ".keras"),
        ("gfile", tf_keras, ".h5"),
        ("import", keras, ".keras"),
        ("import", tf_keras, ".h5"),
    ],
)
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, library: Any, attack: str, suffix: str) -> None:
    path, flag = tmp_path / f"hostile{suffix}", tmp_path / "flag"
    flag.write_text("here")
    plain(library).save(path)

    def change(config: Any) -> None:
        layer = config["config"]["layers"][-1]
        if attack == "Lambda":
            function = {"function": [run_when_loaded(flag), None, None], "function_type": "lambda"}
            layer |= {"class_name": "Lambda", "config": {"name": "dense", **function}}
        elif attack == "gfile":
            layer |= {"class_name": "TFOpLambda", "config": {"name": "dense", "function": "io.gfile.remove"}}
            layer["inbound_nodes"] = [["_CONSTANT_VALUE", -1, str(flag), {}]]
        else:
            layer |= {"module": "os", "class_name": "remove", "registered_name": None}
            layer["config"] = {"path": str(flag)}

    with_config(path, change)
    with pytest.raises(RequestError) as caught:
        open_model(path)
    assert "\n" not in str(caught.value)
    assert flag.read_text() == "here"
    if library is tf_keras and attack != "import":
        assert "--allow-code" in str(caught.value)


def test_a_trusted_lambda_of_keras_2_runs(tmp_path: Path) -> None:
    body = plain(tf_keras)
    theirs = tf_keras.Model(body.input, tf_keras.layers.Lambda(lambda x: 2 * x)(body.output))
    theirs.save(tmp_path / "trusted.h5")
    with pytest.raises(RequestError, match="--allow-code"):
        open_model(tmp_path / "trusted.h5")
    opened = open_model(tmp_path / "trusted.h5", allow_code=True)
    np.testing.assert_allclose(outputs(opened, pixels()), outputs(theirs, pixels()), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(64), "a damaged HDF5 file"),
        ("a.tflite", bytes(4) + b"TFL3" + bytes(64), "a TensorFlow Lite file"),
        ("a.pth", b"\x80\x02}q\x00.", "a Python pickle"),
        ("a.keras", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        ("a.keras", b"", "an empty file"),
        ("a.keras", b"<!DOCTYPE html><html>", "a web page"),
        ("a.keras", b"\xff\xd8\xff\xe0\x00\x10JFIF", "begins with the bytes ff d8 ff e0"),
        ("labels.txt", b"cat\ndog\n", "a text file that begins with 'cat"),
        ("saved_model.pb", b"\x08\x01\x12\x02", "a part of a SavedModel; give its folder"),
    ],
)
def test_the_bytes_of_a_file_that_is_not_a_model_are_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError) as caught:
        open_model(tmp_path / name)
    assert message in str(caught.value) and "SavedModel" in str(caught.value)


def test_weights_alone_and_folders_without_a_model_are_named(tmp_path: Path) -> None:
    model = plain(keras)
    model.save_weights(tmp_path / "mine.weights.h5")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "epoch1").write_text("x")
    for name, message in (("mine.weights.h5", "weights file of Keras"), ("checkpoints", r"it holds epoch1")):
        with pytest.raises(RequestError, match=message):
            open_model(tmp_path / name)
