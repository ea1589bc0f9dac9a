"""Decoupled knowledge distillation."""

from typing import Any, ClassVar

from tfkd.distill.losses.base import Need, check_parts
from tfkd.distill.losses.logits import LogitDistillationLoss, divergence, right_class, split
from tfkd.recipe import Decoupled, default_of


class DecoupledLoss(LogitDistillationLoss):
    """The soft-target loss split into a part of the target class and a part among the other classes.

    `T² (α KL([p_t, 1 − p_t] ‖ [q_t, 1 − q_t]) + β KL(p̂ ‖ q̂))` with `p = softmax(teacher / T)`,
    `q = softmax(student / T)`, right class t, and p̂, q̂ the other classes' probabilities divided by their sum,
    `p̂_c = p_c / (1 − p_t)`. Hinton's loss is α = 1, β = 1 − p_t: it suppresses the other
    classes where the teacher is confident.

    Reference: Zhao et al., "Decoupled Knowledge Distillation", 2022, arXiv:2203.08679.

    Args:
        temperature: T, positive; softens both teacher and student.
        target: α, weight of the part about the right class.
        others: β, weight of the part among the other classes.
        name: name of the loss in logs.

    Raises:
        RequestError: the temperature is not positive, a weight is negative, or both weights are 0.

    Example:
        >>> float(DecoupledLoss()({"answer": teacher_logits, "labels": labels}, student_logits))
    """

    needs: ClassVar[tuple[Need, ...]] = ("labels",)

    def __init__(
        self,
        temperature: float = default_of(Decoupled, "temperature"),
        target: float = default_of(Decoupled, "target"),
        others: float = default_of(Decoupled, "others"),
        name: str = "decoupled",
        **kwargs: Any,
    ) -> None:
        check_parts(name, target=target, others=others)
        super().__init__(temperature, name, **kwargs)
        self.target = target
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
        target_p, others_p = split(teacher / temperature, right)
        target_q, others_q = split(student / temperature, right)
        target, others = divergence(target_p, target_q), divergence(others_p, others_q)
        return temperature**2 * (self.target * target + self.others * others)

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "target": self.target, "others": self.others}
