"""The private names of Keras 3 and tf_keras that tfkd uses exist and work as needed.

A failure names what is missing or different in another version of Keras; fix tfkd/kernels/keras_private.py.
"""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfkd
from tfkd.kernels import keras_overrides, keras_private

KERNELS = [Path(module.__file__) for module in (keras_private, keras_overrides) if module.__file__]


def functional(library: Any = keras) -> Any:
    image = library.Input((4, 4, 3), name="image")
    x = library.layers.Conv2D(2, 3, name="conv")(image)
    return library.Model([image], {"out": library.layers.Flatten(name="flat")(x)}, name="net")


def layers_of_both_libraries() -> None:
    for library in (keras, tf_keras):
        inner = functional(library)
        image = library.Input((4, 4, 3))
        outer = library.Model(image, inner(image), name="outer")
        names = [layer.name for layer in keras_private.layers_of(outer)]
        assert names[0] == "outer" and {"net", "conv", "flat"} <= set(names)
        assert "outer" not in [layer.name for layer in keras_private.layers_of(outer, include_self=False)]


def graph_of_a_sequential_model() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert type(keras_private.graph_of(model)).__name__ == "Functional"
    model = functional()
    assert keras_private.graph_of(model) is model


def structure_of_inputs_and_outputs() -> None:
    model = functional()
    assert isinstance(keras_private.structure(model, "inputs"), list)
    assert list(keras_private.structure(model, "outputs")) == ["out"]


def nodes_in_order() -> None:
    for library in (keras, tf_keras):
        nodes = list(keras_private.nodes(functional(library)))
        named = [node.operation if library is keras else node.layer for node in nodes]
        assert [each.name for each in named] == ["image", "conv", "flat"]
    first, second, _ = nodes
    assert first.is_input and not second.is_input and second.keras_inputs[0] is first.outputs
    known = {name: ["value"] for name in second.flat_input_ids}
    assert second.map_arguments(known) == (("value",), {}) and len(second.flat_output_ids) == 1


def origin_of_a_tensor() -> None:
    model = functional()
    (tensor,) = model.outputs
    assert keras_private.maker(tensor).name == "flat" and keras_private.output_number(tensor) == 0
    node = keras_private.call_behind(tensor)
    assert keras_private.maker(node.input_tensors[0]).name == "conv" and node.output_tensors[0] is tensor
    args, named = node.arguments.fill_in({id(node.input_tensors[0]): "value"})
    assert args == ("value",) and not named


def calls_that_are_forgotten() -> None:
    layer = functional().get_layer("conv")
    assert len(keras_private.calls_of(layer)) == 1
    keras_private.forget_calls(layer)
    assert keras_private.calls_of(layer) == []
    model = keras.Sequential([keras.Input((4, 4, 3)), layer])
    assert len(keras_private.calls_of(layer)) == 1 and model.outputs


class Noting(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        self.seen = keras_private.is_training(self)
        return inputs


def training_of_the_outermost_call() -> None:
    layer = Noting()
    model = keras.Sequential([keras.Input((3,)), layer])
    for training in (True, False):
        model(np.zeros((1, 3), np.float32), training=training)
        assert layer.seen is training


def variables_that_are_tracked() -> None:
    layer = keras.layers.Layer()
    owner = tf.Variable([1.0, 2.0], name="of/another:0")
    variable = keras_overrides.SharedVariable(owner, trainable=True)
    keras_private.track(layer, variable)
    assert layer.trainable_variables == [variable]
    variable.assign([3.0, 4.0])
    np.testing.assert_array_equal(owner.numpy(), [3.0, 4.0])


def moments_of_adam() -> None:
    weight = keras.Variable(np.ones(2, np.float32))
    optimizer = keras.optimizers.AdamW(learning_rate=1.0, beta_1=0.5, beta_2=0.75)
    optimizer.build([weight])
    optimizer.apply([tf.constant([2.0, 4.0])])
    first, second = keras_private.adam_moments(optimizer, weight)
    np.testing.assert_allclose(first.value, [1.0, 2.0])
    np.testing.assert_allclose(second.value, [1.0, 4.0])


def metrics_of_compile() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(loss="mse")
    assert keras_private.compiled_metrics(model) is None
    model.compile(loss="mse", metrics=["mae"])
    metrics = keras_private.compiled_metrics(model)
    assert not metrics.built
    metrics.update_state(np.zeros((1, 2)), np.ones((1, 2)), sample_weight=None)
    assert float(metrics.result()["mae"]) == 1.0


class Evaluated(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.by_fit: list[bool] = []

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        self.by_fit.append(keras_private.is_validation_of_fit(kwargs))
        return super().evaluate(*args, **kwargs)


def evaluation_within_fit() -> None:
    model, x, y = Evaluated(), np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32)
    model.compile(loss="mse")
    model.fit(x, y, validation_data=(x, y), verbose=0)
    model.evaluate(x, y, verbose=0)
    assert model.by_fit == [True, False]


class Shaped(keras_overrides.ShapedModel):
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.calls: list[bool] = []

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def shaping_batch(self, iterator: Any, batch: Any) -> tuple[Any, Any]:
        self.calls.append(iterator is not None)
        return iterator, batch


def shapes_before_a_training() -> None:
    model = Shaped()
    model.compile(loss="mse")
    model.fit(np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32), verbose=0)
    assert model.calls == [True] and model.built
    assert list(inspect.signature(keras.Model._maybe_symbolic_build).parameters) == ["self", "iterator", "data_batch"]


def safe_mode() -> None:
    from keras.src.saving.serialization_lib import SafeModeScope

    assert not keras_private.is_unsafe_loading_allowed()
    with SafeModeScope(False):
        assert keras_private.is_unsafe_loading_allowed()


def layers_of_keras_2_by_name() -> None:
    assert keras_private.keras2_layer("Conv2D") is tf_keras.layers.Conv2D
    assert keras_private.keras2_layer("NoSuchLayer") is None


def uses_and_outputs_of_keras_2() -> None:
    model = functional(tf_keras)
    assert list(keras_private.keras2_outputs(model)) == ["out"]
    uses = keras_private.keras2_uses(model)
    assert [uses[str(id(tensor))] for tensor in model.inputs] == [1]


@pytest.mark.parametrize(
    "check",
    [
        layers_of_both_libraries,
        graph_of_a_sequential_model,
        structure_of_inputs_and_outputs,
        nodes_in_order,
        origin_of_a_tensor,
        calls_that_are_forgotten,
        training_of_the_outermost_call,
        variables_that_are_tracked,
        moments_of_adam,
        metrics_of_compile,
        evaluation_within_fit,
        shapes_before_a_training,
        safe_mode,
        layers_of_keras_2_by_name,
        uses_and_outputs_of_keras_2,
    ],
    ids=lambda check: check.__name__,
)
def test_this_keras_has_the_private_names_that_tfkd_needs(check: Callable[[], None]) -> None:
    try:
        check()
    except (AttributeError, ImportError, TypeError, KeyError, AssertionError) as error:
        pytest.fail(
            f"Keras {keras.__version__} or tf_keras {tf_keras.__version__} has changed what it keeps private: "
            f"{check.__name__.replace('_', ' ')}: {type(error).__name__}: {error}. Mend tfkd/kernels/keras_private.py."
        )


def test_private_names_are_used_in_the_kernels_only() -> None:
    names = {name for path in KERNELS for name in private_names(path)}
    assert {"_flatten_layers", "_inputs_struct", "_keras_history", "_use_cached_eval_dataset"} <= names
    for path in Path(tfkd.__file__).parent.rglob("*.py"):
        if path not in KERNELS:
            assert not names & private_names(path), path
            assert not {name for name in imports(path) if name.startswith(("keras.src", "tf_keras.src"))}, path


def private_names(path: Path) -> set[str]:
    """Returns the private attributes that a module reads of others, and the texts that are such names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    own -= {"_inbound_nodes", "_outbound_nodes"}
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} - own
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in parts]
    named |= {node.value for node in texts if isinstance(node.value, str)}
    return {name for name in named if name.startswith("_") and name.isidentifier() and not name.startswith("__")}


def imports(path: Path) -> set[str]:
    """Returns the modules that a module imports or reaches as attributes of an imported one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    found |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return found | {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
