"""SavedModels and graphs from elsewhere: operators that do more than compute are refused by name, never run."""

import base64
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2
from tensorflow.python.framework import op_def_registry

from tests.models.saved_graphs import CLASSES, IMAGE, SIZE, after, graph_of, head, pixels, write
from tfkd.errors import RequestError
from tfkd.models import operators
from tfkd.models.file_kind import FileKind
from tfkd.models.foreign import open_keras3
from tfkd.models.frozen_graph import open_saved_model
from tfkd.models.keras2 import open_keras2

Effect = Callable[[Path], Any]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def checkpoint(folder: Path) -> str:
    """Write the checkpoint that an attack deletes."""
    folder.mkdir()
    return tf.train.Checkpoint(v=tf.Variable(1.0)).write(str(folder / "ckpt"))


def write_file(folder: Path) -> Any:
    return tf.raw_ops.WriteFile(filename=str(folder / "written"), contents="x")


def save_v2(folder: Path) -> Any:
    return tf.raw_ops.SaveV2(
        prefix=str(folder / "saved"), tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1.0)]
    )


def merge_v2(folder: Path) -> Any:
    return tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(folder / "victim" / "ckpt")], destination_prefix=str(folder / "merged")
    )


def table_from_file(folder: Path) -> Any:
    table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    return tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table, filename=str(folder / "victim" / "ckpt.index"), key_index=-2, value_index=-1
    )


def python(folder: Path) -> Any:
    return tf.numpy_function(lambda: (folder / "called").write_text("x"), [], tf.int64)


def eager_python(folder: Path) -> Any:
    return tf.py_function(lambda: (folder / "called").write_text("x"), [], tf.int64)


def reduced(folder: Path) -> Any:
    def count(state: Any, number: Any) -> Any:
        with tf.control_dependencies([write_file(folder)]):
            return state + number

    return tf.data.Dataset.range(3).reduce(tf.constant(0, tf.int64), count)


def raw(operator: str, **attributes: Any) -> Effect:
    """Return an operator without inputs, which this TensorFlow may not have."""

    def effect(folder: Path) -> Any:
        marker = tf.constant(0.0, name="marker")
        marker.op._set_attr("_operator", attr_value_pb2.AttrValue(s=operator.encode()))
        return marker

    return effect


def with_raw_operators(graph: Any) -> Any:
    for node in (*graph.node, *(node for function in graph.library.function for node in function.node_def)):
        if "_operator" in node.attr:
            node.op = node.attr["_operator"].s.decode()
            node.attr.clear()
    return graph


EFFECTS: dict[str, Effect] = {
    "WriteFile": write_file,
    "ReadFile": lambda folder: tf.io.read_file(str(folder / "victim" / "ckpt.index")),
    "MatchingFiles": lambda folder: tf.io.matching_files(str(folder / "*")),
    "SaveV2": save_v2,
    "MergeV2Checkpoints": merge_v2,
    "RestoreV2": lambda folder: tf.raw_ops.RestoreV2(
        prefix=str(folder / "victim" / "ckpt"), tensor_names=["v"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "PyFunc": python,
    "EagerPyFunc": eager_python,
    "HashTableV2": table_from_file,
    "PrintV2": lambda folder: tf.raw_ops.PrintV2(input="x", output_stream=f"file://{folder}/printed"),
    "DebugIdentity": lambda folder: tf.raw_ops.DebugIdentity(input=1.0, debug_urls=[f"file://{folder}/debugged"]),
    "DebugIdentityV2": lambda folder: tf.raw_ops.DebugIdentityV2(input=1.0, debug_urls=[f"file://{folder}/debugged"]),
    "DatasetReduce": reduced,
    "DecodeJpeg": lambda folder: tf.io.decode_jpeg(tf.constant(b"")),
    "AudioSummaryV2": lambda folder: tf.raw_ops.AudioSummaryV2(tag="x", tensor=[1.0], sample_rate=1.0),
    "RandomUniform": lambda folder: tf.random.uniform([]),
    **{
        name: raw(name)
        for name in (
            *("WriteSummary", "_XlaHostComputeMlir", "XlaCustomCallV2", "XlaCallModule", "RemoteCall"),
            *("ConfigureDistributedTPU", "CollectiveReduceV2", "SymbolicGradient", "AssignVariableOp", "NobodyKnowsIt"),
        )
    },
}
# The name in a message, where it is not the case's: what was met first.
NAMES = {"DatasetReduce": "RangeDataset"}


@pytest.mark.parametrize("name", EFFECTS)
def test_an_operator_that_does_more_than_compute_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    checkpoint(tmp_path / "victim")
    graph, image, output = graph_of(lambda images: head(after(lambda: EFFECTS[name](tmp_path), images)))
    folder = write(tmp_path / "saved", with_raw_operators(graph), image, output)
    before = tree(tmp_path)
    with pytest.raises(RequestError) as caught:
        open_saved_model(folder)
    assert f"needs the operator '{NAMES.get(name, name)}' (node '" in str(caught.value)
    assert "--allow-code" in str(caught.value) and "\n" not in str(caught.value)
    assert tree(tmp_path) == before


def in_while(effect: Effect, folder: Path) -> Callable[[Any], Any]:
    def body(number: Any, images: Any) -> Any:
        return number + 1, after(lambda: effect(folder), images)

    return lambda images: head(tf.while_loop(lambda number, _: number < 0, body, [0, images])[1])


def in_condition(effect: Effect, folder: Path) -> Callable[[Any], Any]:
    return lambda images: head(
        tf.cond(tf.reduce_sum(images) < -1.0, lambda: after(lambda: effect(folder), images), lambda: images)
    )


def in_while_condition(effect: Effect, folder: Path) -> Callable[[Any], Any]:
    def condition(number: Any, _: Any) -> Any:
        with tf.control_dependencies([effect(folder)]):
            return number < 2

    return lambda images: head(tf.while_loop(condition, lambda number, each: (number + 1, each), [0, images])[1])


def in_case(effect: Effect, folder: Path) -> Callable[[Any], Any]:
    return lambda images: head(
        tf.switch_case(tf.shape(images)[0], [lambda: images, lambda: after(lambda: effect(folder), images)])
    )


def in_nested_functions(effect: Effect, folder: Path) -> Callable[[Any], Any]:
    inner = tf.function(lambda images: after(lambda: effect(folder), images), autograph=False)
    outer = tf.function(lambda images: inner(images) + 0.0, autograph=False)
    return lambda images: head(outer(images))


def as_data(effect: Effect, folder: Path) -> Callable[[Any], Any]:
    return lambda images: head(images) + tf.cast(tf.strings.length(tf.io.read_file(str(folder))), tf.float32)


PLACES = {
    "while": in_while,
    "condition": in_while_condition,
    "if": in_condition,
    "case": in_case,
    "functions": in_nested_functions,
    "data": as_data,
}


@pytest.mark.parametrize("place", PLACES)
def test_an_operator_is_found_wherever_it_is_hidden(tmp_path: Path, place: str) -> None:
    folder = write(tmp_path / "saved", *graph_of(PLACES[place](write_file, tmp_path)))
    before = tree(tmp_path)
    with pytest.raises(RequestError, match=f"operator '{'ReadFile' if place == 'data' else 'WriteFile'}'"):
        open_saved_model(folder)
    assert tree(tmp_path) == before


def hidden_function(tmp_path: Path) -> tuple[Any, str, str]:
    """Return a graph whose library holds a function with an attack, which nothing calls."""
    graph, image, output = graph_of(in_nested_functions(write_file, tmp_path))
    harmless, _, _ = graph_of(head)
    del graph.node[:]
    graph.node.extend(harmless.node)
    return graph, image, output


@pytest.mark.parametrize("how", ["attribute", "list", "nested attribute", "operator"])
def test_a_function_that_an_attribute_names_counts(tmp_path: Path, how: str) -> None:
    graph, image, output = hidden_function(tmp_path)
    name = next(each.signature.name for each in graph.library.function if "WriteFile" in str(each))
    softmax = next(node for node in graph.node if node.op == "Softmax")
    if how == "attribute":
        softmax.attr["f"].func.name = name
    elif how == "list":
        softmax.attr["f"].list.func.add().name = name
    elif how == "nested attribute":
        harmless = next(each.signature.name for each in graph.library.function if each.signature.name != name)
        softmax.attr["f"].func.name = harmless
        softmax.attr["f"].func.attr["g"].func.name = name
    else:
        softmax.op = name
    with pytest.raises(RequestError, match=rf"'WriteFile' .*of the function '{name}'"):
        open_saved_model(write(tmp_path / "saved", graph, image, output))
    assert not (tmp_path / "written").exists()


def test_a_function_named_as_an_operator_is_read_as_a_function(tmp_path: Path) -> None:
    graph, image, output = hidden_function(tmp_path)
    function = next(each for each in graph.library.function if "WriteFile" in str(each))
    function.signature.name = "Softmax"
    with pytest.raises(RequestError, match="'WriteFile'"):
        open_saved_model(write(tmp_path / "saved", graph, image, output))


def test_parts_that_the_signature_does_not_need_are_neither_run_nor_checked(tmp_path: Path) -> None:
    """An initialiser, a saver to another path, a table with an asset, and a function that nothing calls."""
    checkpoint(tmp_path / "victim")
    with tf.Graph().as_default():  # which adds no control inputs of its own
        images = tf.compat.v1.placeholder(tf.float32, IMAGE.shape)
        for effect in (write_file, save_v2, merge_v2, table_from_file):
            effect(tmp_path)
        image, output = images.name, head(images).name
        graph = images.graph.as_graph_def()
    graph.library.CopyFrom(graph_of(in_nested_functions(write_file, tmp_path))[0].library)

    def change(meta: Any) -> None:
        operations = {node.op: node.name for node in graph.node}
        meta.saver_def.restore_op_name = operations["MergeV2Checkpoints"]
        meta.saver_def.save_tensor_name = meta.saver_def.filename_tensor_name = f"{operations['SaveV2']}:0"
        meta.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = operations["WriteFile"]
        meta.collection_def["saved_model_main_op"].node_list.value.append(operations["WriteFile"])
        meta.asset_file_def.add(filename="../victim/ckpt.index").tensor_info.name = image

    folder = write(tmp_path / "saved", graph, image, output, change)
    before = tree(tmp_path)
    np.testing.assert_allclose(open_saved_model(folder)(pixels()), head(pixels()), atol=1e-6)
    assert tree(tmp_path) == before


def test_trusted_code_runs(tmp_path: Path) -> None:
    model = tf.Module()
    model.serve = tf.function(
        lambda images: head(after(lambda: write_file(tmp_path), images)), autograph=False, input_signature=[IMAGE]
    )
    tf.saved_model.save(model, tmp_path / "saved", signatures=model.serve)
    opened = open_saved_model(tmp_path / "saved", allow_code=True)
    np.testing.assert_allclose(opened(pixels()), head(pixels()), atol=1e-6)
    assert (tmp_path / "written").read_text() == "x"


def chain(count: int, calls: int, last: str | None = None) -> tuple[Any, str, str]:
    """Return a graph of functions f0, f1, …, of which each calls the next several times."""
    graph, image, output = graph_of(head)
    for number in range(count):
        function = graph.library.function.add()
        function.signature.name = f"f{number}"
        function.signature.input_arg.add(name="x", type=tf.float32.as_datatype_enum)
        function.signature.output_arg.add(name="y", type=tf.float32.as_datatype_enum)
        previous = "x"
        for call in range(calls):
            node = function.node_def.add(name=f"call{call}", op="PartitionedCall", input=[previous])
            node.attr["f"].func.name = f"f{number + 1}" if number + 1 < count or last is None else last
            node.attr["Tin"].list.type.append(tf.float32.as_datatype_enum)
            node.attr["Tout"].list.type.append(tf.float32.as_datatype_enum)
            previous = f"call{call}:output:0"
        function.ret["y"] = previous
    end = graph.library.function.add()
    end.CopyFrom(graph.library.function[-2])
    end.signature.name, end.ret["y"] = f"f{count}", "x"
    del end.node_def[:]
    first = graph.node.add(name="first", op="PartitionedCall", input=[output.split(":")[0]])
    first.attr["f"].func.name = "f0"
    first.attr["Tin"].list.type.append(tf.float32.as_datatype_enum)
    first.attr["Tout"].list.type.append(tf.float32.as_datatype_enum)
    return graph, image, "first:0"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (chain(3, 1, "f0"), "calls itself"),
        (chain(60, 2), "more than 500,000 operators"),
        (chain(3000, 1), "100 deep"),
        (chain(2, 1, "nowhere"), "calls the function 'nowhere', which is not there"),
    ],
    ids=["recursion", "explosion", "depth", "missing"],
)
def test_functions_that_have_no_end_are_refused(tmp_path: Path, graph: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        open_saved_model(write(tmp_path / "saved", *graph))
    assert "\n" not in str(caught.value)


def test_functions_of_functions_compute(tmp_path: Path) -> None:
    folder = write(tmp_path / "saved", *chain(5, 2))
    np.testing.assert_allclose(open_saved_model(folder)(pixels()), head(pixels()), atol=1e-6)


def test_names_of_a_foreign_graph_are_escaped(tmp_path: Path) -> None:
    graph, image, output = graph_of(lambda images: head(after(lambda: write_file(tmp_path), images)))
    node = next(node for node in graph.node if node.op == "WriteFile")
    for each in graph.node:
        each.input[:] = [name.replace(node.name, "a\x1b[2J\n" + "b" * 5000) for name in each.input]
    node.name = "a\x1b[2J\n" + "b" * 5000
    with pytest.raises(RequestError) as caught:
        open_saved_model(write(tmp_path / "saved", graph, image, output))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


def hostile_layer(path: Path, effect: Effect, folder: Path) -> None:
    """Write a `.keras` file with a layer of tfkd whose graph contains an attack."""
    write(folder / "source", *graph_of(head))
    open_saved_model(folder / "source").save(path)
    graph, image, output = graph_of(lambda images: head(after(lambda: effect(folder), images)))
    content = base64.b64encode(zlib.compress(graph.SerializeToString())).decode()
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    layer = next(each for each in config["config"]["layers"] if each["class_name"] == "FrozenGraph")
    layer["config"] |= {"graph": content, "image": image, "output": output, "weights": []}
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


@pytest.mark.parametrize("load", [open_keras3, lambda path: keras.saving.load_model(path, compile=False)])
def test_the_graph_in_a_keras_file_is_checked(tmp_path: Path, load: Callable[[Path], Any]) -> None:
    path = tmp_path / "hostile.keras"
    hostile_layer(path, write_file, tmp_path)
    with pytest.raises(RequestError, match=r"The layer 'graph' cannot be opened safely: .*'WriteFile'") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nn.fixed_unigram_candidate_sampler", "brings code"),
        ("image.decode_jpeg", "brings code"),
        ("io.gfile.remove", "brings code"),
        ("raw_ops.WriteFile", "brings code"),
        (None, "brings code"),
        (["nn.relu"], "brings code"),
        ("WriteFile", "operator 'WriteFile'"),
        ("PartitionedCall", "function 'elsewhere', which is not there"),
    ],
)
def test_operator_layers_of_keras_2_name_what_computes(tmp_path: Path, function: Any, message: str) -> None:
    path = tmp_path / "old.h5"
    layered(path, function)
    with pytest.raises(RequestError, match=message):
        open_keras2(path, FileKind.KERAS2_H5)


def test_an_operator_of_keras_2_that_computes_is_taken(tmp_path: Path) -> None:
    theirs = layered(tmp_path / "old.h5", "Relu6")
    np.testing.assert_allclose(
        open_keras2(tmp_path / "old.h5", FileKind.KERAS2_H5)(pixels()), theirs(pixels()), atol=1e-5
    )


def layered(path: Path, function: Any) -> Any:
    """Write a Keras 2 model whose activation is a layer for a function or, by its capital, for an operator."""
    image = tf_keras.Input((SIZE, SIZE, 3))
    x = tf_keras.layers.Dense(CLASSES)(tf_keras.layers.Flatten()(image))
    model = tf_keras.Model(image, tf_keras.layers.ReLU(6.0, name="act")(x))
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layer = config["config"]["layers"][-1]
        if isinstance(function, str) and function[0].isupper():
            node = node_def_pb2.NodeDef(name="act", op=function, input=["x"])
            node.attr["T"].type = tf.float32.as_datatype_enum
            if function == "PartitionedCall":
                node.attr["f"].func.name = "elsewhere"
            layer |= {"class_name": "TensorFlowOpLayer"}
            layer["config"] = {"name": "act", "node_def": node.SerializeToString().decode("latin1"), "constants": {}}
        else:
            layer |= {"class_name": "TFOpLambda", "config": {"name": "act", "function": function}}
        file.attrs["model_config"] = json.dumps(config)
    return model


def test_the_list_names_operators_that_tensorflow_has() -> None:
    """Operators without state are accepted; the others are listed here, so that a new one is reviewed."""
    known = {name: op_def_registry.get(name) for name in operators.COMPUTING}
    assert not [name for name, definition in known.items() if definition is None]
    stateful = {name for name, definition in known.items() if definition.is_stateful}
    assert {name for name in stateful if not name.startswith("TensorArray")} == {
        *("Assert", "Case", "CheckNumerics", "CheckNumericsV2", "GuaranteeConst", "If", "ReadVariableOp"),
        *("ResourceGather", "ResourceGatherNd", "StatefulPartitionedCall", "VariableShape", "While"),
    }


def test_a_constant_that_holds_no_numbers_is_refused() -> None:
    graph = graph_pb2.GraphDef()
    node = graph.node.add(name="c", op="Const")
    node.attr["value"].tensor.dtype = tf.variant.as_datatype_enum
    with pytest.raises(RequestError, match="constant 'c' holds no numbers"):
        operators.check(graph, "x")
