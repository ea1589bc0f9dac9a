"""Reads SavedModels as data: the graph of the serving signature, and its variables.

TensorFlow's own loader imports every function of the folder and runs its initialisers and its restoring function.
Here nothing of the folder is run: the graph is cut down to what the signature's output needs, its operators are
compared with the list of `tfkd.models.operators`, and the variables are read from the checkpoint by the names that the
restoring function has for them. Tables, assets, savers and initialisers are never reached.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.eager import context

from tfkd.errors import RequestError, cause
from tfkd.models import form, operators
from tfkd.models.operators import shown
from tfkd.models.reachable import free_placeholders, make_portable, needed, node_of, reachable

SIGNATURE = "serving_default"

ONE_OUTPUT = (
    "Save a signature that gives the classes alone: tf.saved_model.save(module, folder, signatures={'serving_default': "
    "function})."
)
_SERVE = "serve"  # the tag of a graph for inference
_INTERNAL = "__saved_model"  # how TensorFlow's own signatures begin
_HANDLE = "VarHandleOp"
_VARIABLES = (_HANDLE, "VariableV2", "Variable")  # the latter two are TensorFlow 1's
_ASSIGNMENTS = ("AssignVariableOp", "Assign")


@dataclass(frozen=True)
class ServingGraph:
    """A serving signature as data.

    Attributes:
        definition: a serialised GraphDef; the image and the variables are placeholders in it.
        image: name of the image tensor.
        specification: shape and dtype of the image.
        output: name of the only output tensor.
        variables: the value of each variable, by the name of its tensor.
        handles: names of those tensors that are handles of variables; the others are values.
    """

    definition: bytes
    image: str
    specification: tf.TensorSpec
    output: str
    variables: dict[str, np.ndarray]
    handles: frozenset[str]


def serving_graph(path: Path) -> ServingGraph:
    """Returns the serving signature of a SavedModel without running it.

    Args:
        path: a folder with `saved_model.pb`.

    Raises:
        RequestError: the folder is damaged, has no signature of one image and one output, or needs an operator that
            does more than compute.
    """
    try:
        return _read(path)
    except RequestError:
        raise
    except Exception as error:  # a damaged or hostile folder can fail anywhere in TensorFlow
        raise RequestError(f"{path} cannot be loaded as a SavedModel: {cause(error)}") from error


def traced(graph: ServingGraph, name: str) -> tuple[Any, list[tf.Variable]]:
    """Returns a serving graph as a concrete function, and its variables, to which the caller must keep references.

    Args:
        graph: a graph with checked operators, because TensorFlow runs parts of a graph that it imports.
        name: name of the graph in messages.

    Raises:
        RequestError: TensorFlow cannot import the graph.
    """
    definition = graph_pb2.GraphDef.FromString(graph.definition)
    variables = {key: tf.Variable(value, trainable=False) for key, value in graph.variables.items()}

    def serve(image: tf.Tensor) -> tf.Tensor:
        inputs, outer = {graph.image: image}, tf.compat.v1.get_default_graph()
        for key, variable in variables.items():
            outer.watch_variable(variable)
            inputs[key] = outer.capture(variable.handle) if key in graph.handles else variable.read_value()
        (output,) = tf.graph_util.import_graph_def(definition, inputs, [graph.output], name="")
        return output

    try:
        register(definition)
        function = tf.function(serve, autograph=False).get_concrete_function(graph.specification)
    except Exception as error:  # a damaged graph can fail anywhere in TensorFlow
        raise RequestError(f"{name}: its graph cannot be imported: {cause(error)}") from error
    return function, list(variables.values())


def register(definition: Any) -> None:
    """Registers the functions of a GraphDef with TensorFlow, which importing into a tf.function does not.

    Their names depend on their content (`tfkd.models.reachable`), so that equal names are equal functions.
    """
    with tf.init_scope():
        for function in definition.library.function:
            if not context.context().has_function(function.signature.name):
                context.context().add_function_def(function)


def signature_name(path: Path, signatures: Iterable[str]) -> str:
    """Returns the signature to run: the usual one, or the only one.

    Raises:
        RequestError: there is no such signature.
    """
    names = [name for name in signatures if not name.startswith(_INTERNAL)]
    if SIGNATURE in names or len(names) == 1:
        return SIGNATURE if SIGNATURE in names else names[0]
    known = ", ".join(sorted(names)) or "none"
    raise RequestError(
        f"{path} has no signature {SIGNATURE!r} (it has: {known}); save it with model.export(), or with "
        f"tf.saved_model.save(module, folder, signatures={{{SIGNATURE!r}: function}})."
    )


def _read(path: Path) -> ServingGraph:
    name = str(path)
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    meta = _for_serving(saved.meta_graphs, name)
    signature = meta.signature_def[signature_name(path, meta.signature_def)]
    image = form.only(name, "inputs", dict(sorted(signature.inputs.items())))
    output = form.only(name, "outputs", dict(sorted(signature.outputs.items())), ONE_OUTPUT).name
    keys = _checkpoint_keys(meta, name)
    _feed(meta.graph_def, image, name)
    graph = reachable(meta.graph_def, [output], name)
    variables = _take_variables(graph)
    free_placeholders(graph)
    operators.check(graph, name)
    make_portable(graph)
    _check_placeholders(graph, {node_of(image.name), *variables}, name)
    values = _values(path, {variable: keys.get(variable) for variable in variables})
    return ServingGraph(
        definition=graph.SerializeToString(),
        image=image.name,
        specification=tf.TensorSpec(tf.TensorShape(image.tensor_shape), tf.as_dtype(image.dtype), "image"),
        output=output,
        variables={f"{variable}:0": value for variable, value in values.items()},
        handles=frozenset(f"{variable}:0" for variable, operator in variables.items() if operator == _HANDLE),
    )


def _for_serving(graphs: Sequence[Any], name: str) -> Any:
    """Returns the only MetaGraphDef, or the one for inference."""
    serving = [each for each in graphs if len(graphs) == 1 or list(each.meta_info_def.tags) == [_SERVE]]
    if len(serving) != 1:
        raise RequestError(
            f"{name} has {len(graphs)} graphs, {len(serving)} of them with the tag {_SERVE!r}; save one."
        )
    return serving[0]


def _feed(graph: Any, image: Any, name: str) -> None:
    """Replaces the node of a signature's input by a placeholder."""
    node = next((node for node in graph.node if f"{node.name}:0" == image.name), None)
    if node is None:
        raise RequestError(f"{name} is damaged: the input {shown(image.name)} of its signature is not in its graph.")
    _make_placeholder(node, image.dtype)
    node.attr["shape"].shape.CopyFrom(image.tensor_shape)


def _make_placeholder(node: Any, dtype: int) -> None:
    node.op = "Placeholder"
    del node.input[:]
    node.attr.clear()
    node.attr["dtype"].type = dtype


def _take_variables(graph: Any) -> dict[str, str]:
    """Replaces the variables of a graph by placeholders; returns the original operators by name."""
    variables = {node.name: node.op for node in graph.node if node.op in _VARIABLES}
    for node in graph.node:
        if node.name in variables:
            _make_placeholder(node, types_pb2.DT_RESOURCE if node.op == _HANDLE else node.attr["dtype"].type)
    return variables


def _check_placeholders(graph: Any, known: set[str], name: str) -> None:
    placeholders = [node.name for node in graph.node if node.op == "Placeholder"]
    if others := sorted(set(placeholders) - known):
        raise RequestError(f"{name} needs the input {shown(others[0])}, which its signature lacks; save it without.")
    if missing := sorted(known - set(placeholders)):
        raise RequestError(f"{name}: the output of its signature does not depend on its input {shown(missing[0])}.")


@dataclass(frozen=True)
class _Saved:
    """The place of a variable's value in a checkpoint."""

    key: str
    part: str  # "" for all of it, else the shape and "start,length" for each dimension


def _checkpoint_keys(meta: Any, name: str) -> dict[str, _Saved]:
    """Returns the place of each variable in the checkpoint, by the name of its node, from the restoring operators."""
    graph, root = meta.graph_def, meta.saver_def.restore_op_name
    restore = next((node for node in graph.node if node.name == root), None)
    if restore is None:
        return {}
    functions = {each.signature.name: each for each in graph.library.function}
    function = functions.get(restore.attr["f"].func.name) if "f" in restore.attr else functions.get(restore.op)
    if function is None:  # TensorFlow 1: an operator in the main graph
        body, variables = needed(graph.node, [root], name), {}
    else:
        body = {node.name: node for node in function.node_def}
        variables = dict(zip((each.name for each in function.signature.input_arg), restore.input, strict=False))
    found = {}
    for node in body.values():
        saved = _restored(body, node.input[1]) if node.op in _ASSIGNMENTS and len(node.input) > 1 else None
        if saved is not None:
            variable = node_of(node.input[0])
            found[node_of(variables.get(variable, variable))] = saved
    return found


def _restored(body: Mapping[str, Any], tensor: str) -> _Saved | None:
    """Returns the part of the checkpoint that a tensor comes from, or None."""
    for _ in body:  # a chain of identities is not longer
        node = body.get(node_of(tensor))
        if node is None or node.op != "Identity":
            break
        tensor = node.input[0]
    if node is None or node.op != "RestoreV2":
        return None
    number = tensor.rsplit(":", 1)[-1]
    keys, parts = (body[node_of(each)].attr["value"].tensor.string_val for each in node.input[1:3])
    index = int(number) if number.isdigit() else 0
    return _Saved(keys[min(index, len(keys) - 1)].decode(), parts[min(index, len(parts) - 1)].decode())


def _values(path: Path, variables: Mapping[str, _Saved | None]) -> dict[str, np.ndarray]:
    """Reads variables from the checkpoint of a SavedModel."""
    if not variables:
        return {}
    reader = tf.compat.v1.train.NewCheckpointReader(str(path / "variables" / "variables"))
    values = {}
    for name, saved in variables.items():
        if saved is None or not reader.has_tensor(saved.key):
            raise RequestError(f"{path} has no value for its variable {shown(name)}; save the model again.")
        values[name] = _part(reader.get_tensor(saved.key), saved.part)
    return values


def _part(value: np.ndarray, part: str) -> np.ndarray:
    """Returns the part of a partitioned tensor in a variable, by TensorFlow's slice specification."""
    if not part:
        return value
    ranges = [each.split(",") for each in part.split()[-1].split(":")]
    slices = [slice(int(r[0]), int(r[0]) + int(r[1])) if len(r) == 2 else slice(None) for r in ranges]
    return value[tuple(slices)]
