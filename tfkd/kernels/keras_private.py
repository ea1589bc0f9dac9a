"""Private names of Keras 3 and tf_keras; every access of tfkd to one is in this module.

tests/kernels/test_keras_private.py fails for each name that another version of Keras lacks or changes.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# The structures of the inputs and outputs of a functional or sequential model.
STRUCTURES = {"inputs": "_inputs_struct", "outputs": "_outputs_struct"}


def layers_of(model: Any, include_self: bool = True) -> list[Any]:
    """Returns a model's layers and those inside them, of Keras 3 or tf_keras.

    Args:
        model: any model.
        include_self: whether the model itself is the first of them.
    """
    return list(model._flatten_layers(include_self=include_self))


def graph_of(model: Any) -> Any:
    """Returns the functional model with a Keras 3 model's graph, which may be the model itself."""
    return getattr(model, "_functional", None) or model


def structure(model: Any, which: str) -> Any:
    """Returns the symbolic `inputs` or `outputs` of a model in their structure."""
    return getattr(graph_of(model), STRUCTURES[which])


def nodes(model: Any) -> Iterator[Any]:
    """Yields the calls of a functional model's layers in topological order.

    Args:
        model: functional or sequential, of Keras 3 or tf_keras.
    """
    by_depth = graph_of(model)._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        yield from by_depth[depth]


def maker(tensor: Any) -> Any:
    """Returns the layer or operation that returned a symbolic tensor of Keras 3."""
    return tensor._keras_history.operation


def call_behind(tensor: Any) -> Any:
    """Returns the node of the call that returned a symbolic tensor of Keras 3."""
    return calls_of(maker(tensor))[tensor._keras_history.node_index]


def output_number(tensor: Any) -> int:
    """Returns the index of a symbolic tensor of Keras 3 among the outputs of its call."""
    return int(tensor._keras_history.tensor_index)


def calls_of(operation: Any) -> list[Any]:
    """Returns the nodes of the symbolic calls of a layer or an operation of Keras 3."""
    return list(operation._inbound_nodes)


def forget_calls(layer: Any) -> None:
    """Removes a layer of Keras 3 from all graphs."""
    layer._inbound_nodes, layer._outbound_nodes = [], []


def is_training(layer: Any) -> bool:
    """Returns whether the outermost call around a layer of Keras 3 is in training mode."""
    return bool(layer._get_call_context().training)


def track(layer: Any, variable: Any) -> None:
    """Adds a variable to the weights of a Keras 3 layer."""
    layer._track_variable(variable)


def adam_moments(optimizer: Any, variable: Any) -> tuple[Any, Any]:
    """Returns the two moving averages of a variable's gradients in Keras 3's Adam."""
    number = optimizer._get_variable_index(variable)
    return optimizer._momentums[number], optimizer._velocities[number]


def compiled_metrics(model: Any) -> Any:
    """Returns the metric of Keras 3 that contains those of `compile`, or None."""
    return model._compile_metrics


def is_validation_of_fit(arguments: Mapping[str, Any]) -> bool:
    """Returns whether the named arguments of `evaluate` are those of a call by Keras 3's `fit`."""
    return bool(arguments.get("_use_cached_eval_dataset"))


def is_unsafe_loading_allowed() -> bool:
    """Returns whether Keras 3 is loading a model without safe mode."""
    from keras.src.saving.serialization_lib import in_safe_mode

    return in_safe_mode() is False


def keras2_layer(name: str) -> Callable[..., Any] | None:
    """Returns tf_keras's own layer of a name, or None."""
    import tf_keras

    found: Callable[..., Any] | None = tf_keras.src.layers.serialization.get_builtin_layer(name)
    return found


def keras2_uses(model: Any) -> Mapping[str, int]:
    """Returns the number of calls of a functional tf_keras model that use each tensor, by the tensor's id as text."""
    uses: Mapping[str, int] = model._tensor_usage_count
    return uses


def keras2_outputs(model: Any) -> Any:
    """Returns a functional tf_keras model's outputs in their structure."""
    return model._nested_outputs


@contextlib.contextmanager
def downloads_by(download: Callable[[str, Path], None]) -> Iterator[list[Path]]:
    """Lets Keras 3 download files with a function of a URL and a path during a with-block.

    Yields:
        A list that receives the path of each file that Keras gets, from its cache too.
    """
    from keras.src.utils import file_utils

    retrieve, get = file_utils.urlretrieve, file_utils.get_file
    files: list[Path] = []

    def recorded(*arguments: Any, **named: Any) -> str:
        files.append(Path(get(*arguments, **named)))
        return str(files[-1])

    file_utils.urlretrieve = lambda url, path, *_: download(url, Path(path))
    file_utils.get_file = recorded
    try:
        yield files
    finally:
        file_utils.urlretrieve, file_utils.get_file = retrieve, get
