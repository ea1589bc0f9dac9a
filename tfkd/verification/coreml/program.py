"""Walks the operations of an ML program (.mlpackage)."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfkd.verification import VerifyError
from tfkd.verification.coreml import specification as files
from tfkd.verification.coreml.half import rounded
from tfkd.verification.coreml.kernels import (
    activation,
    comparison,
    compression,
    convolution,
    deconvolution,
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
from tfkd.verification.coreml.limits import UnsupportedError
from tfkd.verification.coreml.running import Run
from tfkd.verification.coreml.values import Constants, Declared, declared

OPERATORS: dict[str, Callable[..., Any]] = {
    "abs": elementwise.unary(tf.abs),
    "acos": elementwise.unary(tf.acos),
    "add": elementwise.binary(tf.add),
    "asin": elementwise.unary(tf.asin),
    "atan": elementwise.unary(tf.atan),
    "avg_pool": pooling.avg_pool,
    "batch_norm": normalisation.batch_norm,
    "cast": elementwise.cast,
    "ceil": elementwise.unary(tf.math.ceil),
    "clamped_relu": activation.clamped_relu,
    "clip": elementwise.clip,
    "concat": shape.concat,
    "constexpr_affine_dequantize": compression.affine_dequantize,
    "constexpr_blockwise_shift_scale": compression.blockwise_shift_scale,
    "constexpr_cast": compression.cast,
    "constexpr_lut_to_dense": compression.lut_to_dense,
    "constexpr_lut_to_sparse": compression.lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": compression.sparse_blockwise_shift_scale,
    "constexpr_sparse_to_dense": compression.sparse_to_dense,
    "conv": convolution.conv,
    "conv_transpose": deconvolution.conv_transpose,
    "cos": elementwise.unary(tf.cos),
    "cosh": elementwise.unary(tf.cosh),
    "depth_to_space": rearranging.depth_to_space,
    "elu": activation.elu,
    "equal": elementwise.binary(tf.equal),
    "erf": elementwise.unary(tf.math.erf),
    "exp": elementwise.unary(tf.exp),
    "exp2": elementwise.unary(lambda x: tf.pow(2.0, x)),
    "expand_dims": shape.expand_dims,
    "fill": selection.fill,
    "fill_like": selection.fill_like,
    "floor": elementwise.unary(tf.floor),
    "floor_div": elementwise.binary(tf.math.floordiv),
    "gather": selection.gather,
    "gather_along_axis": selection.gather_along_axis,
    "gelu": activation.gelu,
    "greater": elementwise.binary(tf.greater),
    "greater_equal": elementwise.binary(tf.greater_equal),
    "identity": elementwise.identity,
    "instance_norm": normalisation.instance_norm,
    "inverse": elementwise.inverse,
    "l2_norm": normalisation.l2_norm,
    "layer_norm": normalisation.layer_norm,
    "leaky_relu": activation.leaky_relu,
    "less": elementwise.binary(tf.less),
    "less_equal": elementwise.binary(tf.less_equal),
    "linear": linear.linear,
    "linear_activation": activation.linear_activation,
    "log": elementwise.log,
    "logical_and": elementwise.binary(tf.logical_and),
    "logical_not": elementwise.unary(tf.logical_not),
    "logical_or": elementwise.binary(tf.logical_or),
    "logical_xor": elementwise.binary(tf.math.logical_xor),
    "matmul": linear.matmul,
    "max_pool": pooling.max_pool,
    "maximum": elementwise.binary(tf.maximum),
    "minimum": elementwise.binary(tf.minimum),
    "mod": elementwise.binary(tf.math.floormod),
    "mul": elementwise.binary(tf.multiply),
    "not_equal": elementwise.binary(tf.not_equal),
    "one_hot": selection.one_hot,
    "pad": shape.pad,
    "pixel_shuffle": rearranging.depth_to_space_by_channel,
    "pow": elementwise.binary(tf.pow),
    "prelu": activation.prelu,
    "real_div": elementwise.binary(tf.divide),
    "reduce_argmax": reduction.argument(tf.argmax),
    "reduce_argmin": reduction.argument(tf.argmin),
    "reduce_l1_norm": reduction.reduction(reduction.sum_of_absolutes),
    "reduce_l2_norm": reduction.reduction(reduction.euclidean),
    "reduce_log_sum": reduction.reduction(reduction.log_of_sum),
    "reduce_log_sum_exp": reduction.reduction(tf.reduce_logsumexp),
    "reduce_max": reduction.reduction(tf.reduce_max),
    "reduce_mean": reduction.reduction(tf.reduce_mean),
    "reduce_min": reduction.reduction(tf.reduce_min),
    "reduce_prod": reduction.reduction(tf.reduce_prod),
    "reduce_sum": reduction.reduction(tf.reduce_sum),
    "reduce_sum_square": reduction.reduction(reduction.sum_of_squares),
    "relu": elementwise.unary(tf.nn.relu),
    "relu6": elementwise.unary(tf.nn.relu6),
    "reshape": shape.reshape,
    "resize_bilinear": resampling.resize_bilinear,
    "resize_nearest_neighbor": resampling.resize_nearest_neighbor,
    "reverse": selection.reverse,
    "round": elementwise.unary(tf.round),
    "rsqrt": elementwise.rsqrt,
    "scaled_tanh": activation.scaled_tanh,
    "select": comparison.select,
    "sigmoid": elementwise.unary(tf.sigmoid),
    "sigmoid_hard": activation.sigmoid_hard,
    "sign": elementwise.unary(tf.sign),
    "silu": elementwise.unary(tf.nn.silu),
    "sin": elementwise.unary(tf.sin),
    "sinh": elementwise.unary(tf.sinh),
    "slice_by_index": shape.slice_by_index,
    "slice_by_size": shape.slice_by_size,
    "softmax": activation.softmax,
    "softplus": elementwise.unary(tf.nn.softplus),
    "softplus_parametric": activation.softplus_parametric,
    "softsign": elementwise.unary(tf.nn.softsign),
    "space_to_depth": rearranging.space_to_depth,
    "split": shape.split,
    "sqrt": elementwise.unary(tf.sqrt),
    "square": elementwise.unary(tf.square),
    "squeeze": shape.squeeze,
    "stack": selection.stack,
    "sub": elementwise.binary(tf.subtract),
    "tan": elementwise.unary(tf.tan),
    "tanh": elementwise.unary(tf.tanh),
    "threshold": elementwise.threshold,
    "thresholded_relu": activation.thresholded_relu,
    "tile": selection.tile,
    "topk": selection.topk,
    "transpose": shape.transpose,
    "upsample_bilinear": resampling.upsample_bilinear,
    "upsample_nearest_neighbor": resampling.upsample_nearest_neighbor,
}

_CONSTANT = "const"
_FLOAT16 = "FLOAT16"


class Program:
    """An ML program that classifies images or texts.

    Args:
        specification: as `specification.read` returns it.
        path: of the package.

    Raises:
        VerifyError: the program has not one input, or not one `classify`.
    """

    def __init__(self, specification: Any, path: Path) -> None:
        self._path = path
        self._operations = list(files.operations(specification))
        self._inputs = list(specification.mlProgram.functions["main"].inputs)
        classifiers = [operation for operation in self._operations if operation.type == files.CLASSIFY]
        if len(self._inputs) != 1 or len(classifiers) != 1:
            raise VerifyError(
                f"{path}: has {len(self._inputs)} inputs and {len(classifiers)} classifiers, not one of each."
            )
        self._probabilities = classifiers[0].inputs["probabilities"]

    def __call__(self, prepared: tf.Tensor) -> tf.Tensor:
        """Builds the program's graph.

        Args:
            prepared: float32 [batch, 3, H, W] or int32 [batch, length].

        Returns:
            The probabilities, float32 [batch, ...].

        Raises:
            VerifyError: names the operator that is not known, or cannot be computed.
        """
        run = Run(self._path, OPERATORS)
        constants = Constants(lambda name: _content(self._path, name))
        (source,) = self._inputs
        with run.at("input", source.name):
            run.put([source.name], _as(declared(source.type), prepared))
        for operation in self._operations:
            if operation.type != files.CLASSIFY:
                _compute(operation, run, constants)
        with run.at(files.CLASSIFY, "probabilities"):
            (probabilities,) = _arguments(self._probabilities, run, constants)
        return probabilities


def _compute(operation: Any, run: Run, constants: Constants) -> None:
    names = [output.name for output in operation.outputs]
    place = (operation.type, ", ".join(names))
    if operation.type == _CONSTANT:
        with run.at(*place):
            run.put(names, [constants.read(operation.attributes["val"])])
        return
    kernel = run.kernel(*place)
    with run.at(*place):
        arguments = _named(operation, run, constants)
        try:
            inspect.signature(kernel).bind(**arguments)
        except TypeError as error:
            raise UnsupportedError(f"it has other arguments than its kind: {error}") from None
        results = kernel(**arguments)
        results = results if isinstance(results, list) else [results]
        kinds = [declared(output.type) for output in operation.outputs]
        run.put(names, [_as(kind, result) for kind, result in zip(kinds, results, strict=True)])


def _named(operation: Any, run: Run, constants: Constants) -> dict[str, Any]:
    """Returns the arguments by name; before iOS 18 those of compressed constants are among the attributes."""
    arguments = {
        name: constants.read(value) for name, value in operation.attributes.items() if name not in ("name", "val")
    }
    for name, argument in operation.inputs.items():
        several = _arguments(argument, run, constants)
        arguments[name] = several[0] if len(several) == 1 else several
    return arguments


def _arguments(argument: Any, run: Run, constants: Constants) -> list[Any]:
    return [
        run.get(binding.name) if binding.WhichOneof("binding") == "name" else constants.read(binding.value)
        for binding in argument.arguments
    ]


def _as(kind: Declared, value: Any) -> Any:
    """Rounds a value to the type that the program declares, and checks that it has the declared shape."""
    shape = [1 if size is None else size for size in value.shape]
    if shape != kind.shape:
        raise ValueError(f"it makes the shape {shape}, not {kind.shape} as the program says")
    return rounded(value) if kind.dtype == _FLOAT16 else value


def _content(package: Path, name: str) -> bytes:
    path = files.contained(package, name)
    if not path.is_file():
        raise ValueError(f"its weight file {name} is missing")
    return path.read_bytes()
