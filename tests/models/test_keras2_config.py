"""Configurations of Keras 2 that name more than layers that compute: refused before tf_keras builds anything."""

import base64
import marshal
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models.test_foreign import with_config
from tfkd.errors import RequestError
from tfkd.models import keras2_classes, keras2_config
from tfkd.models.file_kind import FileKind, file_kind
from tfkd.models.foreign import open_keras3
from tfkd.models.keras2 import open_keras2

Part = dict[str, Any]


def named(kind: str, module: str | None = None, registered: str | None = None, /, **config: Any) -> Part:
    part: Part = {"class_name": kind, "config": config}
    return part if module is None else part | {"module": module, "registered_name": registered}


def layer(kind: str, registered: str | None = None, /, **config: Any) -> Part:
    return named(kind, "keras.layers", registered, **config)


def reloaded(folder: Path) -> Part:
    return named("ReloadedLayer", "tf_keras.src.export.export_lib", filepath=str(saved(folder)))


class Marked(tf.saved_model.experimental.TrackableResource):
    """A resource that writes a file when its SavedModel is loaded."""

    def __init__(self, marker: Path) -> None:
        super().__init__()
        self.marker = str(marker)

    def _create_resource(self) -> Any:
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.string)

    def _initialize(self) -> None:
        tf.io.write_file(self.marker, "x")


def saved(folder: Path) -> Path:
    """Write a SavedModel that writes the marker when it is loaded, and remove the marker of writing it."""
    module = tf.Module()
    module.resource = Marked(folder / "marker")
    module.serve = tf.function(lambda x: (module.resource.resource_handle, x)[1], input_signature=[tf.TensorSpec([1])])
    tf.saved_model.save(module, folder / "saved", signatures=module.serve)
    (folder / "marker").unlink(missing_ok=True)
    return folder / "saved"


def bytecode(folder: Path) -> list[Any]:
    code = compile(f"lambda *x: [x[0], open({str(folder / 'marker')!r}, 'w')][0]", "hostile", "eval").co_consts[0]
    return [base64.b64encode(marshal.dumps(code)).decode(), None, None]


def wrapped_cell(folder: Path, kind: str, argument: str, **more: Any) -> list[Part]:
    function = {argument: bytecode(folder), f"{argument}_type": "lambda", f"{argument}_module": "os"}
    cell = named(kind, name="w", cell=named("SimpleRNNCell", name="c", units=12), **function, **more)
    return [named("Reshape", name="r", target_shape=[4, 12]), named("RNN", name="rnn", cell=cell)]


def debugged(folder: Path) -> Part:
    """An operator that writes a file, under an alias of the layer that would hold it."""
    url = base64.b64encode(f"file://{folder}/marker".encode()).decode()
    node = {"name": "d", "op": "DebugIdentity", "input": ["x"], "attr": {"debug_urls": {"list": {"s": [url]}}}}
    alias = named("base_layer.TensorFlowOpLayer", "tf_keras.src.engine", name="op", node_def=node, constants={})
    return layer("TextVectorization", name="v", vocabulary=["a"], standardize=alias)


def function(module: str, name: str) -> Part:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def dense(**config: Any) -> Part:
    return layer("Dense", name="d", units=3, **config)


ATTACKS: dict[str, tuple[Callable[[Path], list[Part]], str]] = {
    "residual": (lambda folder: wrapped_cell(folder, "ResidualWrapper", "residual_fn"), r"code \(ResidualWrapper"),
    "dropout": (
        lambda folder: wrapped_cell(folder, "DropoutWrapper", "dropout_state_filter_visitor", state_keep_prob=0.5),
        r"code \(DropoutWrapper",
    ),
    "bytecode": (
        lambda folder: [named("Dense", units=3, function=bytecode(folder), function_type="lambda")],
        r"code \(a function, function_type 'lambda'",
    ),
    "SavedModel": (lambda folder: [reloaded(folder)], r"ReloadedLayer, which loads the SavedModel '.*saved'"),
    "argument": (
        lambda folder: [layer("Embedding", name="e", input_dim=reloaded(folder), output_dim=3)],
        "ReloadedLayer, which loads the SavedModel",
    ),
    "alias": (lambda folder: [debugged(folder)], "'TextVectorization' of the module 'keras.layers'"),
    "dotted": (
        lambda folder: [dense(activation=debugged(folder)["config"]["standardize"])],
        "'base_layer.TensorFlowOpLayer' of the module 'tf_keras.src.engine'",
    ),
    "another name": (
        lambda folder: [named("LSTMV1", "keras.layers.experimental", "Lambda", name="l")],
        "'LSTMV1' of the module 'keras.layers.experimental' under the name 'Lambda'",
    ),
    "listed under another name": (
        lambda folder: [layer("Dense", "Lambda", name="l", units=3)],
        "under the name 'Lambda'",
    ),
    "plain form": (
        lambda folder: [named("__tuple__", "posixpath", "abspath", items=[])],
        r"code \('__tuple__' of the module 'posixpath'",
    ),
    "lookup": (
        lambda folder: [layer("StringLookup", name="s", vocabulary=str(folder / "pipe"))],
        r"StringLookup, which reads the file '.*pipe'",
    ),
    "old lookup": (
        lambda folder: [named("IntegerLookup", name="s", vocabulary=str(folder / "pipe"))],
        r"IntegerLookup, which reads the file '.*pipe'",
    ),
    "Hashing": (lambda folder: [named("Hashing", name="h", num_bins=3)], "'Hashing', which is not known"),
    "type": (
        lambda folder: [layer("InputLayer", type_spec=named("__typespec__", "tf_keras.src.export.export_lib"))],
        "'__typespec__' of the module",
    ),
    "tensor": (lambda folder: [dense() | {"inbound_nodes": [[{"_TYPE": "COMPOSITE"}, "{}"]]}], "no plain array"),
    "system": (
        lambda folder: [dense(kernel_initializer=function("os", "system"))],
        r"code \('system' of the module 'os'",
    ),
    "builtin": (lambda folder: [dense(activation=function("builtins", "exec"))], "'exec' of the module 'builtins'"),
    "library": (lambda folder: [named("load", "numpy", name="l")], r"code \('load' of the module 'numpy'"),
    "compiled inside": (
        lambda folder: [
            named("Sequential", "keras", name="s", layers=[dense()]) | {"compile_config": {"loss": reloaded(folder)}}
        ],
        "ReloadedLayer, which loads",
    ),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model as Keras 2 writes it, in both forms."""
    folder = tmp_path_factory.mktemp("made")
    model = tf_keras.Sequential([tf_keras.Input((4, 4, 3)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(3)])
    model.compile("adam", "mse")
    for suffix in (".h5", ".keras"):
        model.save(folder / f"model{suffix}")
    return folder


def changed(source: Path, path: Path, change: Callable[[Any], None]) -> Path:
    """Copy a model and change its configuration."""
    path.write_bytes(source.read_bytes())
    with_config(path, change)
    return path


def with_layers(layers: list[Part]) -> Callable[[Any], None]:
    return lambda config: config["config"]["layers"].__setitem__(slice(1, 1), layers)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_layer_that_does_more_than_compute_is_named_and_not_built(
    tmp_path: Path, models: Path, attack: str, suffix: str
) -> None:
    os.mkfifo(tmp_path / "pipe")  # which blocks whoever reads it
    layers, message = ATTACKS[attack]
    path = changed(models / f"model{suffix}", tmp_path / f"hostile{suffix}", with_layers(layers(tmp_path)))
    with pytest.raises(RequestError, match=message) as caught:
        open_keras2(path, file_kind(path))
    assert "--allow-code" in str(caught.value) and "--import" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "marker").exists()


def test_a_configuration_that_is_not_a_model_is_not_built(tmp_path: Path, models: Path) -> None:
    def replace(config: Any) -> None:
        config.clear()
        config.update(reloaded(tmp_path))

    path = changed(models / "model.keras", tmp_path / "hostile.keras", replace)
    with pytest.raises(RequestError, match="ReloadedLayer, which loads the SavedModel"):
        open_keras2(path, FileKind.KERAS2)
    assert not (tmp_path / "marker").exists()


def test_the_configuration_that_is_checked_is_the_one_that_is_built(tmp_path: Path, models: Path) -> None:
    """A harmless archive is appended to an HDF5 file."""
    attack = with_layers(wrapped_cell(tmp_path, "ResidualWrapper", "residual_fn"))
    path = changed(models / "model.h5", tmp_path / "both.h5", attack)
    path.write_bytes(path.read_bytes() + (models / "model.keras").read_bytes())
    assert zipfile.is_zipfile(path)
    with pytest.raises(RequestError, match="ResidualWrapper"):
        open_keras2(path, file_kind(path))
    assert not (tmp_path / "marker").exists()


def test_classes_are_looked_for_by_the_name_that_is_registered(tmp_path: Path, models: Path) -> None:
    with tf_keras.saving.custom_object_scope({"Mine": type("Mine", (tf_keras.layers.Layer,), {})}):
        for suffix, part in (
            (".h5", named("Mine", name="m")),
            (".keras", named("Mine", "my_layers", "Mine", name="m")),
        ):
            path = changed(models / f"model{suffix}", tmp_path / f"mine{suffix}", with_layers([part]))
            keras2_config.check(part, path)
        with pytest.raises(RequestError, match="StringLookup, which reads"):
            keras2_config.check(named("StringLookup", "my_layers", "Mine", vocabulary="x"), path)
    with pytest.raises(RequestError, match=r"custom class 'Mine'.*`--import my_layers`"):
        open_keras2(path, FileKind.KERAS2)


def test_the_compile_settings_of_a_model_do_not_matter(tmp_path: Path, models: Path) -> None:
    def change(config: Any) -> None:
        config["compile_config"] = {"loss": named("Mine", "my_losses", "Custom>Mine")}

    assert open_keras2(changed(models / "model.keras", tmp_path / "model.keras", change), FileKind.KERAS2)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_layers_that_compute_are_taken(tmp_path: Path, suffix: str) -> None:
    k = tf_keras.layers
    inner = tf_keras.Sequential([k.Dense(3, "gelu", kernel_regularizer="l2", kernel_constraint="non_neg")])
    schedule = tf_keras.optimizers.schedules.CosineDecay(0.1, 10)
    inner.compile(tf_keras.optimizers.SGD(schedule), "mse", metrics=["accuracy", tf_keras.metrics.AUC()])
    layers = [tf_keras.Input((4, 4, 3)), k.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 2.0, 3.0])]
    layers += [k.CenterCrop(3, 3), k.RandomZoom(0.1), k.Reshape((9, 3)), k.TimeDistributed(inner)]
    layers += [k.Bidirectional(k.LSTM(2, return_sequences=True)), k.RNN([k.GRUCell(3), k.SimpleRNNCell(2)])]
    model = tf_keras.Sequential([*layers, k.Dense(3, activation=k.LeakyReLU())])
    model.save(tmp_path / f"model{suffix}")
    opened = open_keras2(tmp_path / f"model{suffix}", FileKind.KERAS2_H5 if suffix == ".h5" else FileKind.KERAS2)
    images = np.random.default_rng(1).uniform(0, 2, (2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(opened(images, training=False), model(images, training=False), atol=1e-5)


def test_the_lists_name_what_tf_keras_has_and_nothing_that_brings_code() -> None:
    for module, names in keras2_classes.CLASSES.items():
        if module in ("keras.layers", "keras.initializers", "keras.losses", "keras.metrics", "keras.optimizers"):
            assert (
                not [name for name in names if not hasattr(getattr(tf_keras, module[6:]), name)] or "layers" in module
            )
    known = tf_keras.src.layers.serialization
    known.populate_deserializable_objects()
    left_out = set(known.LOCAL.ALL_OBJECTS) - keras2_classes.OLD_CLASSES
    assert left_out == {
        *("AbstractRNNCell", "AddLoss", "AddMetric", "BaseRandomLayer", "BatchNormalizationBase", "ClassMethod"),
        *("DenseFeatures", "DeviceWrapper", "DropoutWrapper", "HashedCrossing", "Hashing", "Input", "InputSpec"),
        *("InstanceMethod", "InstanceProperty", "IntegerLookup", "Lambda", "LinearModel", "ResidualWrapper"),
        *("SequenceFeatures", "StringLookup", "TextVectorization", "WideDeepModel", "Wrapper", "_RNNCellWrapper"),
        *("add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"),
    }


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda folder: layer("TFSMLayer", filepath=str(saved(folder))), r"TFSMLayer, which loads the SavedModel '.*'"),
        (lambda folder: layer("StringLookup", vocabulary=str(folder / "pipe")), "StringLookup, which reads the file '"),
        (lambda folder: dense(kernel_initializer=function("os", "system")), r"code \('system' of the module 'os'\)"),
        (lambda folder: dense(activation=function("numpy.lib", "load")), r"code \('load' of the module 'numpy.lib'\)"),
        (lambda folder: dense(activation=function("my_functions", "mine")), "'mine'.*`--import my_functions`"),
    ],
)
def test_configurations_that_keras_3_calls_unsafe_are_named(
    tmp_path: Path, part: Callable[[Path], Part], message: str
) -> None:
    keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]).save(tmp_path / "m.keras")
    path = changed(tmp_path / "m.keras", tmp_path / "hostile.keras", with_layers([part(tmp_path)]))
    with pytest.raises(RequestError, match=message) as caught:
        open_keras3(path)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "marker").exists()
