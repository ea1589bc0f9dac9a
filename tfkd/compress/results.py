"""Results of compressions, as a stage stores them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CompressionResult:
    """The result of one compression.

    Attributes:
        kind: "prune", "cluster" or "qat".
        epochs: that were trained.
        seconds: that the training took.
        validation_accuracy: 0 to 1, of the network as it was trained: with rounding after "qat".
        accuracy: the same on the test examples.
        sparsity: fraction of zeros, 0 to 1, among the weights that are pruned and clustered.
        clusters: of these layers' kernels, the largest number of different weights.
    """

    kind: str
    epochs: int
    seconds: float
    validation_accuracy: float
    accuracy: float
    sparsity: float
    clusters: int


@dataclass(frozen=True)
class CompressResult:
    """The result of all compressions of a student.

    Attributes:
        compressions: in the order in which they were done.
        accuracy: 0 to 1, of `student.keras` on the test examples; in float, also after "qat".
        quantized: whether `quantized/` holds what the int8 file is made of.
        seconds: of all trainings.
    """

    compressions: tuple[CompressionResult, ...]
    accuracy: float
    quantized: bool
    seconds: float
