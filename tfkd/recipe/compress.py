"""One block per compression of the trained student."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfkd.recipe.base import Block
from tfkd.recipe.training import Training


class Compression(Block):
    """What all compressions share: a short training from the soft-label store, with the student's own losses."""

    training: Training = Training(epochs=5, learning_rate=3e-4, warmup_epochs=0.5)


class Prune(Compression):
    """Magnitude pruning: the smallest weights become zero (Zhu, Gupta 2017, arXiv:1710.01878)."""

    kind: Literal["prune"] = "prune"
    sparsity: float = Field(0.5, gt=0, lt=1, description="share of the weights of each pruned layer that end as zero")
    structure: Literal["unstructured", "2:4"] = Field(
        "unstructured", description="any weights, or two of each four neighbours (then sparsity is 0.5)"
    )

    @model_validator(mode="after")
    def _reachable(self) -> "Prune":
        if self.structure == "2:4" and self.sparsity != 0.5:
            raise ValueError("structure 2:4 is a sparsity of 0.5; make it 0.5 or leave it out")
        if self.training.patience or self.training.average:
            raise ValueError("training.patience and average bring back weights of before the pruning; leave them out")
        return self


class Cluster(Compression):
    """Weight clustering: each layer keeps few different weights, which deflate well (Han et al. arXiv:1510.00149)."""

    kind: Literal["cluster"] = "cluster"
    clusters: int = Field(16, ge=2, le=256, description="different weights of each clustered layer")


class QuantizationAware(Compression):
    """Quantization-aware distillation: trained with int8 rounding in place (Jacob et al. 2018, arXiv:1712.05877)."""

    kind: Literal["qat"] = "qat"
    training: Training = Training(epochs=5, learning_rate=3e-5, warmup_epochs=0.5)  # rounding moves weights little


AnyCompression = Annotated[Prune | Cluster | QuantizationAware, Field(discriminator="kind")]
