"""Makes coremltools' batch normalisations exact.

coremltools writes a multiplication and an addition by channel as a batch normalisation with mean 0 and variance 1, but
leaves its epsilon at 1e-5: it then divides by sqrt(1 + 1e-5), and the probabilities of a deep network drift from its
source: by 7e-4 in ResNet50V2. The factor is put into gamma here, before convolutions take it up.
"""

from typing import Any

import numpy as np

from tfkd.quiet import native_logs_silenced

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    import coremltools as ct
    from coremltools.converters.mil.mil import Builder
    from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass
    from coremltools.converters.mil.mil.passes.helper import block_context_manager
    from coremltools.converters.mil.mil.passes.pass_registry import register_pass

_NAMESPACE = "tfkd"
_AFTER = "common::fuse_elementwise_to_batchnorm"


def pipeline() -> Any:
    """Returns coremltools' usual passes with the correction among them."""
    passes = ct.PassPipeline.DEFAULT
    passes.insert_pass(passes.passes.index(_AFTER) + 1, f"{_NAMESPACE}::{ExactBatchNorms.__name__}")
    return passes


@register_pass(namespace=_NAMESPACE)
class ExactBatchNorms(AbstractGraphPass):
    """Multiplies gamma by sqrt(1 + epsilon) wherever mean 0 and variance 1 show that there is nothing to normalise."""

    def apply(self, prog: Any) -> None:
        for function in prog.functions.values():
            _correct(function)


@block_context_manager
def _correct(block: Any) -> None:
    for operation in list(block.operations):
        if operation.op_type == "batch_norm" and _is_affine(operation):
            _replace(block, operation)


def _is_affine(operation: Any) -> bool:
    return not np.any(operation.mean.val) and bool(np.all(operation.variance.val == 1))


def _replace(block: Any, operation: Any) -> None:
    exact = Builder.batch_norm(
        x=operation.x,
        mean=operation.mean,
        variance=operation.variance,
        gamma=(operation.gamma.val * np.sqrt(1 + np.float64(operation.epsilon.val))).astype(np.float32),
        beta=operation.beta,
        epsilon=operation.epsilon,
        name=operation.outputs[0].name,
        before_op=operation,
    )
    block.replace_uses_of_var_after_op(anchor_op=operation, old_var=operation.outputs[0], new_var=exact)
    block.remove_ops([operation])
