"""Walks the layers of a neural network (.mlmodel)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfkd.verification import VerifyError
from tfkd.verification.coreml.kernels import (
    activation,
    comparison,
    convolution,
    elementwise,
    linear,
    normalisation,
    pooling,
    rearranging,
    reduction,
    resampling,
    selection,
    shape,
)
from tfkd.verification.coreml.running import Run

LAYERS: dict[str, Callable[..., Any]] = {
    "acos": elementwise.plain_layer(tf.acos),
    "activation": activation.activation_layer,
    "add": elementwise.sum_layer,
    "addBroadcastable": elementwise.binary_layer(tf.add),
    "argMax": reduction.argument_layer(tf.argmax),
    "argMin": reduction.argument_layer(tf.argmin),
    "asin": elementwise.plain_layer(tf.asin),
    "atan": elementwise.plain_layer(tf.atan),
    "batchedMatmul": linear.batched_matmul_layer,
    "batchnorm": normalisation.batch_norm_layer,
    "bias": normalisation.bias_layer,
    "ceil": elementwise.plain_layer(tf.math.ceil),
    "clampedReLU": activation.clamped_relu_layer,
    "clip": elementwise.clip_layer,
    "concat": shape.concat_layer,
    "concatND": shape.concat_nd_layer,
    "constantPad": shape.constant_pad_layer,
    "convolution": convolution.convolution_layer,
    "copy": elementwise.copy_layer,
    "cos": elementwise.plain_layer(tf.cos),
    "cosh": elementwise.plain_layer(tf.cosh),
    "crop": shape.crop_layer,
    "divideBroadcastable": elementwise.binary_layer(tf.divide),
    "equal": comparison.comparison_layer(tf.equal),
    "erf": elementwise.plain_layer(tf.math.erf),
    "exp2": elementwise.plain_layer(lambda x: tf.pow(2.0, x)),
    "expandDims": shape.expand_dims_layer,
    "flattenTo2D": shape.flatten_to_2d_layer,
    "floor": elementwise.plain_layer(tf.floor),
    "floorDivBroadcastable": elementwise.binary_layer(tf.math.floordiv),
    "gather": selection.gather_layer,
    "gatherAlongAxis": selection.gather_along_axis_layer,
    "gelu": activation.gelu_layer,
    "greaterEqual": comparison.comparison_layer(tf.greater_equal),
    "greaterThan": comparison.comparison_layer(tf.greater),
    "innerProduct": linear.inner_product_layer,
    "l2normalize": normalisation.l2_norm_layer,
    "layerNormalization": normalisation.layer_norm_layer,
    "lessEqual": comparison.comparison_layer(tf.less_equal),
    "lessThan": comparison.comparison_layer(tf.less),
    "loadConstantND": shape.constant_layer,
    "logicalAnd": comparison.logic_layer(tf.logical_and),
    "logicalNot": comparison.logic_layer(tf.logical_not),
    "logicalOr": comparison.logic_layer(tf.logical_or),
    "logicalXor": comparison.logic_layer(tf.math.logical_xor),
    "max": elementwise.folding_layer(tf.maximum),
    "maxBroadcastable": elementwise.binary_layer(tf.maximum),
    "min": elementwise.folding_layer(tf.minimum),
    "minBroadcastable": elementwise.binary_layer(tf.minimum),
    "modBroadcastable": elementwise.binary_layer(tf.math.floormod),
    "multiply": elementwise.product_layer,
    "multiplyBroadcastable": elementwise.binary_layer(tf.multiply),
    "notEqual": comparison.comparison_layer(tf.not_equal),
    "oneHot": selection.one_hot_layer,
    "padding": shape.padding_layer,
    "pooling": pooling.pooling_layer,
    "powBroadcastable": elementwise.binary_layer(tf.pow),
    "rankPreservingReshape": shape.reshape_layer,
    "reduceL1": reduction.reduction_layer(reduction.sum_of_absolutes),
    "reduceL2": reduction.reduction_layer(reduction.euclidean),
    "reduceLogSum": reduction.reduction_layer(reduction.log_of_sum),
    "reduceLogSumExp": reduction.reduction_layer(tf.reduce_logsumexp),
    "reduceMax": reduction.reduction_layer(tf.reduce_max),
    "reduceMean": reduction.reduction_layer(tf.reduce_mean),
    "reduceMin": reduction.reduction_layer(tf.reduce_min),
    "reduceProd": reduction.reduction_layer(tf.reduce_prod),
    "reduceSum": reduction.reduction_layer(tf.reduce_sum),
    "reduceSumSquare": reduction.reduction_layer(reduction.sum_of_squares),
    "reorganizeData": rearranging.reorganize_layer,
    "reshapeStatic": shape.reshape_layer,
    "resizeBilinear": resampling.resize_bilinear_layer,
    "reverse": selection.reverse_layer,
    "round": elementwise.plain_layer(tf.round),
    "scale": normalisation.scale_layer,
    "sign": elementwise.plain_layer(tf.sign),
    "sin": elementwise.plain_layer(tf.sin),
    "sinh": elementwise.plain_layer(tf.sinh),
    "slice": shape.axis_slice_layer,
    "sliceStatic": shape.slice_layer,
    "softmax": activation.softmax_layer,
    "softmaxND": activation.softmax_nd_layer,
    "splitND": shape.split_nd_layer,
    "squeeze": shape.squeeze_layer,
    "stack": selection.stack_layer,
    "subtractBroadcastable": elementwise.binary_layer(tf.subtract),
    "tan": elementwise.plain_layer(tf.tan),
    "tile": selection.tile_layer,
    "topK": selection.topk_layer,
    "transpose": shape.transpose_layer,
    "unary": elementwise.unary_layer,
    "upsample": resampling.upsample_layer,
    "whereBroadcastable": comparison.select_layer,
}

_RANK_4 = 1  # RANK4_IMAGE_MAPPING: an image is [1, C, H, W]


class NeuralNetwork:
    """A neural network that classifies images.

    Args:
        specification: as `specification.read` returns it.
        path: of the file.

    Raises:
        VerifyError: the network is written for the shapes of iOS 12 and before.
    """

    def __init__(self, specification: Any, path: Path) -> None:
        self._path = path
        self._network = specification.neuralNetworkClassifier
        self._input = specification.description.input[0].name
        if self._network.imageInputShapeMapping != _RANK_4:
            raise VerifyError(f"{path}: takes images as values of rank 5; convert it for iOS 13 or later.")

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Builds the network's graph.

        Args:
            image: float32 [batch, 3, H, W].

        Returns:
            The probabilities, float32 [batch, ...].

        Raises:
            VerifyError: names the layer that is not known, or cannot be computed.
        """
        run = Run(self._path, LAYERS)
        run.put([self._input], image)
        for layer in self._network.layers:
            _compute(layer, run)
        return run.get(self._network.labelProbabilityLayerName)


def _compute(layer: Any, run: Run) -> None:
    kind = layer.WhichOneof("layer") or "nothing"
    kernel = run.kernel(kind, layer.name)
    inputs = [run.get(name) for name in layer.input]
    with run.at(kind, layer.name):
        run.put(list(layer.output), kernel(getattr(layer, kind), *inputs))
