"""SavedModels made of graphs, without running the graphs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

SIZE, CLASSES = 8, 3
IMAGE = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, "image")


def pixels(count: int = 4) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.float32)


def head(image: Any) -> Any:
    """The end of a classifier, float32 [B, H, W, 3] to [B, 3]."""
    weights = np.random.default_rng(4).normal(size=(3, CLASSES)).astype(np.float32)
    return tf.nn.softmax(tf.matmul(tf.reduce_mean(image / 255.0, [1, 2]), weights))


def after(effect: Callable[[], Any], image: Any) -> Any:
    """Return the image after an operator has run."""
    with tf.control_dependencies([effect()]):
        return tf.identity(image)


def graph_of(function: Callable[[Any], Any], specification: Any = IMAGE) -> Any:
    """Trace a function; return its GraphDef and the names of its input and output."""
    graph = tf.function(function, autograph=False).get_concrete_function(specification).graph
    return graph.as_graph_def(), graph.inputs[0].name, graph.outputs[0].name


def write(folder: Path, graph: Any, image: str, output: str, change: Callable[[Any], None] = lambda meta: None) -> Path:
    """Write a GraphDef as a SavedModel with one signature, after a change of its MetaGraphDef."""
    saved = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta = saved.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.graph_def.CopyFrom(graph)
    signature = meta.signature_def["serving_default"]
    signature.inputs["image"].name, signature.outputs["classes"].name = image, output
    signature.inputs["image"].dtype = signature.outputs["classes"].dtype = tf.float32.as_datatype_enum
    signature.inputs["image"].tensor_shape.CopyFrom(IMAGE.shape.as_proto())
    change(meta)
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    return folder
