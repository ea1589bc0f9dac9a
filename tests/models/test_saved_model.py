"""SavedModels are read as data, and give the outputs of TensorFlow's own loader."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.eager import context

from tests.models.saved_graphs import CLASSES, IMAGE, SIZE, graph_of, head, pixels, write
from tfkd.errors import RequestError
from tfkd.models.foreign import open_keras3
from tfkd.models.frozen_graph import FrozenGraph, open_saved_model

v1 = tf.compat.v1


def loaded(folder: Path, images: np.ndarray) -> np.ndarray:
    """Return the outputs of a SavedModel with TensorFlow's own loader."""
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    (output,) = signature(**{name: tf.constant(images)}).values()
    return np.asarray(output)


def same(folder: Path, images: np.ndarray | None = None) -> Any:
    """Open a SavedModel, which must give the outputs of TensorFlow."""
    images = pixels() if images is None else images
    model = open_saved_model(folder)
    np.testing.assert_allclose(model(images), loaded(folder, images), atol=1e-6)
    return model


class Module(tf.Module):
    """Variables of one name, a constant of the user's, a loop, branches, a nested and a compiled function, rows."""

    def __init__(self, batch: int | None = None) -> None:
        super().__init__()
        rng = np.random.default_rng(7)
        values = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 3), (3, 3), (5, 3), (3, CLASSES))]
        self.many = [tf.Variable(value, name="same") for value in values]
        self.constant = tf.constant(rng.normal(size=3).astype(np.float32))
        self.count = tf.Variable(0)  # which the signature does not need
        specification = tf.TensorSpec([batch, SIZE, SIZE, 3])
        self.serve = tf.function(self._serve, input_signature=[specification], autograph=False)

    @tf.function(autograph=False, jit_compile=True)
    def _compiled(self, x: Any) -> Any:
        return tf.nn.relu(x) + self.constant

    def _serve(self, image: Any) -> Any:
        x = tf.reduce_mean(image / 255.0, [1, 2])
        x = tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, tf.matmul(x, self.many[0])), [0, x])[1]
        x = tf.cond(tf.reduce_sum(x) > 0.0, lambda: tf.matmul(x, self.many[1]), lambda: x - self.many[1][0])
        x = tf.map_fn(lambda row: row * 2.0, x) + tf.gather(self.many[2], tf.argmax(x, -1))
        tf.debugging.assert_all_finite(x, "not finite")
        return tf.nn.softmax(tf.matmul(self._compiled(x), self.many[3]))


def without_functions() -> None:
    """Forget the functions that TensorFlow knows, as a new process would."""
    for name in context.context().list_function_names():
        if name.startswith("part_"):
            context.context().remove_function(name)


@pytest.mark.parametrize("batch", [None, 1])
def test_control_flow_and_variables(tmp_path: Path, batch: int | None) -> None:
    module = Module(batch)
    tf.saved_model.save(module, tmp_path / "saved", signatures=module.serve)
    images = pixels(batch or 4)
    model = same(tmp_path / "saved", images)
    expected = np.asarray(model(images))
    model.save(tmp_path / "copy.keras")
    without_functions()
    np.testing.assert_array_equal(open_keras3(tmp_path / "copy.keras")(images), expected)


def test_two_graphs_with_functions_of_one_name_do_not_mix(tmp_path: Path) -> None:
    for name, factor in (("a", 2.0), ("b", 3.0)):

        def body(i: Any, x: Any, factor: float = factor) -> Any:
            return i + 1, x * factor

        graph, image, output = graph_of(lambda x, body=body: head(tf.while_loop(lambda i, x: i < 2, body, [0, x])[1]))
        names = {each.signature.name: f"f{number}" for number, each in enumerate(graph.library.function)}
        text = str(graph)
        for before, after in names.items():
            text = text.replace(f'"{before}"', f'"{after}"')
        write(tmp_path / name, text_format.Parse(text, type(graph)()), image, output)
    models = [open_saved_model(tmp_path / name) for name in "ab"]
    for model, factor in zip(models, (4.0, 9.0), strict=True):
        np.testing.assert_allclose(model(pixels()), head(pixels() * factor), atol=1e-6)


def write_v1(folder: Path, build: Callable[[Any], Any], specification: Any = IMAGE) -> None:
    """Write a SavedModel as TensorFlow 1 does: variables in the main graph, no objects."""
    with v1.Session(graph=tf.Graph()) as session:
        image = v1.placeholder(specification.dtype, specification.shape)
        output = build(image)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"image": image}, {"classes": output})


def network_v1(resource: bool, partitioned: bool = False) -> Callable[[Any], Any]:
    def build(image: Any) -> Any:
        partitioner = v1.fixed_size_partitioner(2) if partitioned else None
        with v1.variable_scope("net", use_resource=resource, partitioner=partitioner):
            kernel = v1.get_variable("kernel", [3, 3, 3, 4], initializer=v1.glorot_uniform_initializer(seed=1))
            weight = v1.get_variable("weight", [4, CLASSES], initializer=v1.glorot_uniform_initializer(seed=2))
            v1.get_variable("step", [], initializer=v1.zeros_initializer(), partitioner=None)
        x = tf.nn.relu(tf.nn.conv2d(image / 255.0, tf.convert_to_tensor(kernel), 2, "SAME"))
        training = v1.placeholder_with_default(False, [])
        x = v1.cond(training, lambda: x * 2.0, lambda: x + 0.0)
        if v1.control_flow_v2_enabled():
            x = v1.while_loop(lambda i, x: i < 2, lambda i, x: (i + 1, x * 1.5), [0, x])[1]
        return tf.nn.softmax(tf.matmul(tf.reduce_mean(x, [1, 2]), tf.convert_to_tensor(weight)))

    return build


@pytest.mark.parametrize("functional", [False, True], ids=["switches", "functions"])
@pytest.mark.parametrize("resource", [False, True], ids=["reference", "resource"])
def test_graphs_of_tensorflow_1(tmp_path: Path, resource: bool, functional: bool) -> None:
    enabled = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
    try:
        write_v1(tmp_path / "saved", network_v1(resource))
    finally:
        (v1.enable_control_flow_v2 if enabled else v1.disable_control_flow_v2)()
    same(tmp_path / "saved")


def test_variables_in_parts(tmp_path: Path) -> None:
    write_v1(tmp_path / "saved", network_v1(True, partitioned=True))
    same(tmp_path / "saved")


def changed(folder: Path, change: Callable[[Any], None]) -> Path:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    change(saved)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    return folder


def test_the_input_of_a_signature_may_lie_inside_of_the_graph(tmp_path: Path) -> None:
    """For example when a graph decodes a file, and its signature takes the decoded pixels."""
    with tf.Graph().as_default() as graph:
        content = v1.placeholder(tf.string, [])
        image = tf.cast(tf.io.decode_image(content, 3, expand_animations=False)[tf.newaxis], tf.float32)
        output = head(image)
    folder = write(tmp_path / "saved", graph.as_graph_def(), image.name, output.name)
    np.testing.assert_allclose(open_saved_model(folder)(pixels()), head(pixels()), atol=1e-6)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("saved") / "saved"
    module = Module()
    tf.saved_model.save(module, folder, signatures=module.serve)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def test_one_of_several_graphs_is_for_serving(copy: Path) -> None:
    def add(saved: Any) -> None:
        saved.meta_graphs.add().meta_info_def.tags.append("train")

    np.testing.assert_allclose(open_saved_model(changed(copy, add))(pixels()), loaded_module(pixels()), atol=1e-6)


def loaded_module(images: np.ndarray) -> Any:
    return Module().serve(images)


def two_tags(saved: Any) -> None:
    saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])


def no_restoring(saved: Any) -> None:
    saved.meta_graphs[0].ClearField("saver_def")


def no_input(saved: Any) -> None:
    saved.meta_graphs[0].signature_def["serving_default"].inputs.popitem()


def foreign_input(saved: Any) -> None:
    next(iter(saved.meta_graphs[0].signature_def["serving_default"].inputs.values())).name = "nowhere:0"


def foreign_output(saved: Any) -> None:
    next(iter(saved.meta_graphs[0].signature_def["serving_default"].outputs.values())).name = "nowhere:0"


def second_placeholder(saved: Any) -> None:
    graph = saved.meta_graphs[0].graph_def
    graph.node.add(name="other", op="Placeholder").attr["dtype"].type = tf.float32.as_datatype_enum
    next(node for node in graph.node if "inference_signature" in str(node.attr["f"])).input.append("^other")


def constant(saved: Any) -> None:
    graph = saved.meta_graphs[0].graph_def
    graph.node.add(name="c", op="Const").attr["value"].tensor.CopyFrom(tf.make_tensor_proto([[0.5, 0.5]]))
    graph.node[-1].attr["dtype"].type = tf.float32.as_datatype_enum
    next(iter(saved.meta_graphs[0].signature_def["serving_default"].outputs.values())).name = "c:0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two_tags, "has 2 graphs, 2 of them with the tag 'serve'"),
        (no_restoring, "has no value for its variable 'same"),
        (no_input, "has 0 inputs"),
        (foreign_input, "input 'nowhere:0' of its signature is not in its graph"),
        (foreign_output, "needs the node 'nowhere', which is not there"),
        (second_placeholder, "needs the input 'other', which its signature lacks"),
        (constant, "does not depend on its input"),
    ],
)
def test_a_saved_model_that_cannot_be_read_is_one_line(copy: Path, change: Callable[[Any], None], message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        open_saved_model(changed(copy, change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["variables.index", "variables.data-00000-of-00001"])
def test_a_damaged_checkpoint_is_one_line(copy: Path, name: str) -> None:
    path = copy / "variables" / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(RequestError, match="cannot be loaded as a SavedModel") as caught:
        open_saved_model(copy)
    assert "\n" not in str(caught.value)


def test_a_layer_holds_the_image_the_output_and_the_weights(saved: Path) -> None:
    (layer,) = (each for each in open_saved_model(saved).layers if isinstance(each, FrozenGraph))
    assert sorted(tuple(weight.shape) for weight in layer.weights) == [(3,), (3, 3), (3, 3), (3, 3), (5, 3)]
