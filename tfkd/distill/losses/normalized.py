"""Normalised knowledge distillation."""

from typing import Any, ClassVar

import tensorflow as tf

from tfkd.distill.losses.base import Need, check_parts
from tfkd.distill.losses.logits import LogitDistillationLoss, right_class, split
from tfkd.recipe import Normalized, default_of


class NormalizedLoss(LogitDistillationLoss):
    """A soft-label loss for the target class, and a normalised cross-entropy among the other classes.

    `−p_t log q_t − γ T² Σ_{c≠t} p̂_c log q̂_c` with `p = softmax(teacher)`, `q = softmax(student)`, right class t, and
    p̂, q̂ the softmax of teacher / T and student / T over the other classes alone. The temperature softens the second
    part only. As cross-entropies both parts keep the teacher's entropy: equal logits do not give 0.

    Reference: Yang et al., "From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with
    Normalized Loss and Customized Soft Labels", 2023, arXiv:2303.13005.

    Args:
        temperature: T, positive; softens the other classes of teacher and student alike.
        others: γ, weight of the part among the other classes; the part about the right class has weight 1.
        name: name of the loss in logs.

    Raises:
        RequestError: the temperature is not positive, or the weight is negative.

    Example:
        >>> float(NormalizedLoss()({"answer": teacher_logits, "labels": labels}, student_logits))
    """

    needs: ClassVar[tuple[Need, ...]] = ("labels",)

    def __init__(
        self,
        temperature: float = default_of(Normalized, "temperature"),
        others: float = default_of(Normalized, "others"),
        name: str = "normalized",
        **kwargs: Any,
    ) -> None:
        check_parts(name, target=1.0, others=others)
        super().__init__(temperature, name, **kwargs)
        self.others = others

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every example.

        Args:
            y_true: `answer`, teacher logits, any float dtype, [batch, classes], and `labels`, [batch] or [batch, 1];
                the teacher's top class replaces a missing label, −1.
            y_pred: student logits, any float dtype, [batch, classes].

        Returns:
            float32 [batch] (float64 where both logits are float64).

        Raises:
            RequestError: labels are missing, or the shapes do not fit each other.
        """
        teacher_logits, labels = self.labelled(y_true)
        teacher, student, temperature = self.predictions(teacher_logits, y_pred)
        right = right_class(labels, teacher)
        (target_p, _), (target_q, _) = split(teacher, right), split(student, right)
        (_, others_p), (_, others_q) = split(teacher / temperature, right), split(student / temperature, right)
        target = -tf.exp(target_p[:, 0]) * target_q[:, 0]
        others = -tf.reduce_sum(tf.exp(others_p) * others_q, axis=-1)
        return target + self.others * temperature**2 * others

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "others": self.others}
