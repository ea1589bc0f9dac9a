"""One block per compression of the trained student."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfkd.recipe.base import Block
from tfkd.recipe.training import Training

WHY_NOT_OF_TEXTS = (
    "most weights of students of texts are word vectors, which compression does not change; for a smaller file ship "
    "the form dynamic, or lower student.width or data.pieces"
)


class Compression(Block):
    """Base of the compressions: a short training from the soft-label store with the student's losses."""

    training: Training = Training(epochs=5, learning_rate=3e-4, warmup_epochs=0.5)


class Prune(Compression):
    """Magnitude pruning: the smallest weights become zero (Zhu, Gupta 2017, arXiv:1710.01878)."""

    kind: Literal["prune"] = "prune"
    sparsity: float = Field(0.5, gt=0, lt=1, description="fraction of zero weights in each pruned layer after training")
    structure: Literal["unstructured", "2:4"] = Field(
        "unstructured", description="unstructured: any weights; 2:4: two of every four neighbours (sparsity 0.5)"
    )

    @model_validator(mode="after")
    def _reachable(self) -> "Prune":
        if self.structure == "2:4" and self.sparsity != 0.5:
            raise ValueError("structure 2:4 needs a sparsity of 0.5; set it to 0.5 or leave it out")
        if self.training.patience or self.training.average:
            raise ValueError("training.patience and training.average would restore unpruned weights; leave them out")
        return self


class Cluster(Compression):
    """Weight clustering: few distinct weights per layer, which compress well (Han et al. arXiv:1510.00149)."""

    kind: Literal["cluster"] = "cluster"
    clusters: int = Field(16, ge=2, le=256, description="distinct weights per clustered layer")


class QuantizationAware(Compression):
    """Quantization-aware distillation: training with simulated int8 rounding (Jacob et al. 2018, arXiv:1712.05877)."""

    kind: Literal["qat"] = "qat"
    training: Training = Training(epochs=5, learning_rate=3e-5, warmup_epochs=0.5)  # rounding moves weights little


AnyCompression = Annotated[Prune | Cluster | QuantizationAware, Field(discriminator="kind")]
