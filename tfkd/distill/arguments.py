"""Normalises the arguments of a Distiller: losses with weights, teachers, Keras's losses."""

import inspect
import math
import re
import warnings
from collections.abc import Collection, Sequence
from typing import Any

import keras

from tfkd.distill.losses import LOSSES
from tfkd.distill.losses.base import DistillationLoss
from tfkd.distill.losses.label import LabelLoss
from tfkd.distill.metrics import CROSS_ENTROPIES, config_of
from tfkd.distill.schedules import loss_of
from tfkd.errors import RequestError, nearest
from tfkd.models.logits import is_tf_keras
from tfkd.recipe import Loss, SoftTargets

Weighted = tuple[DistillationLoss, Any]

_OF_SIGMOIDS = ("BinaryCrossentropy", "BinaryFocalCrossentropy", "binary_crossentropy", "binary_focal_crossentropy")
_OF_PROBABILITIES = ("KLDivergence", "Poisson", "Dice", "Tversky", "kl_divergence", "poisson", "dice", "tversky")


def weighted_losses(losses: Any) -> list[Weighted]:
    """Returns pairs (loss, weight) from the argument `losses`.

    Args:
        losses: None for Hinton's at T=4 with weight 0.7, one loss, or a list of: a loss (weight 1), a pair (loss,
            weight), the name of a loss, or a recipe's loss block with its weight.

    Raises:
        RequestError: one of them is not a distillation loss.
    """
    if losses is None:
        return [loss_of(SoftTargets())]
    single_pair = isinstance(losses, tuple) and len(losses) == 2 and not _is_loss(losses[1])
    several = isinstance(losses, (list, tuple)) and not single_pair
    return [_weighted(each) for each in (losses if several else [losses])]


def teachers_of(teachers: Any, teacher: Any) -> list[Any]:
    """Returns the teachers of `teachers` (a model or several) and `teacher` (a model).

    Raises:
        RequestError: both are given.
    """
    several = list(teachers) if isinstance(teachers, (list, tuple)) else [teachers]
    if teacher is not None and several:
        raise RequestError("Set teacher=model or teachers=[model, ...] of the Distiller, not both.")
    return several if teacher is None else teachers_of(teacher, None)


def student_of(student: Any) -> Any:
    """Returns the network that a Distiller trains: for a tf_keras model a Keras 3 copy, with a warning.

    Raises:
        RequestError: Keras 3 does not have the layers of a tf_keras model.
    """
    if not is_tf_keras(student):
        return student
    from tfkd.models.keras2 import keras3_of

    copy = keras3_of(student, f"Student {student.name!r}", graph=False)
    warnings.warn(
        f"Student {student.name!r} is a tf_keras model. Its Keras 3 copy, distiller.student, is trained and saved; "
        f"{student.name!r} itself is not changed.",
        stacklevel=3,
    )
    return copy


def label_loss(loss: Any) -> keras.losses.Loss:
    """Returns the loss of logits with the true labels for the argument of `compile`.

    Args:
        loss: None, a name, a function (y_true, y_pred), an instance, or a list or mapping of one of these. A
            cross-entropy without from_logits=True is used with it.

    Raises:
        RequestError: it is of probabilities or of a sigmoid per class, there is no such loss, or several.
    """
    if isinstance(loss, (list, tuple, dict)):
        each = list(loss.values()) if isinstance(loss, dict) else list(loss)
        if len(each) != 1:
            raise RequestError(f"compile got {len(each)} losses, but a student has one output; pass one loss.")
        return label_loss(each[0])
    if loss is None:
        return LabelLoss()
    try:
        found = keras.losses.get(loss)
    except ValueError:
        raise RequestError(f"compile: there is no loss {loss!r}; leave it out for the cross-entropy.") from None
    name = getattr(found, "__name__", type(found).__name__)
    from_logits = getattr(found, "from_logits", config_of(found).get("from_logits"))
    if name in _OF_PROBABILITIES or (name in _OF_SIGMOIDS and not from_logits):
        takes = "a sigmoid per class" if name in _OF_SIGMOIDS else "probabilities"
        raise RequestError(
            f"compile: the loss {name} takes {takes}, and the student is trained on its logits; leave the loss out for "
            "the cross-entropy with the labels."
        )
    if name in CROSS_ENTROPIES:
        return LabelLoss()
    if name == "categorical_focal_crossentropy":
        return keras.losses.CategoricalFocalCrossentropy(from_logits=True)
    if from_logits is False:
        return _from_logits(found)
    return found if isinstance(found, keras.losses.Loss) else FunctionLoss(found)


def _from_logits(loss: Any) -> keras.losses.Loss:
    """Returns a loss of Keras 3 or tf_keras, recreated with from_logits=True."""
    kind, config = getattr(keras.losses, type(loss).__name__, type(loss)), {**config_of(loss), "from_logits": True}
    if not isinstance(loss, keras.losses.Loss):
        known = inspect.signature(kind.__init__).parameters.keys() - {"reduction", "dtype"}
        config = {name: value for name, value in config.items() if name in known}
    return kind.from_config(config)


class FunctionLoss(keras.losses.Loss):
    """A function as a loss instance, because Keras sums a plain function over replicas instead of averaging."""

    def __init__(self, function: Any) -> None:
        super().__init__(name=re.sub(r"[^A-Za-z0-9_]", "", getattr(function, "__name__", "")) or "label")
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the result of the function."""
        return self.function(y_true, y_pred)


def _weighted(loss: Any) -> Weighted:
    if isinstance(loss, (list, tuple)):
        if len(loss) != 2:
            raise RequestError(f"losses holds {loss!r}; pass pairs (loss, weight), or losses alone.")
        return _weighted(loss[0])[0], loss[1]
    if isinstance(loss, Loss):
        return loss_of(loss)
    if isinstance(loss, DistillationLoss):
        return loss, 1.0
    if loss in LOSSES.values():
        return loss(), 1.0
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss](), 1.0
    if isinstance(loss, str):
        raise RequestError(f"losses: there is no distillation loss {loss!r}.{nearest(loss, list(LOSSES))}")
    raise RequestError(
        f"losses holds {_named(loss)}, which is no distillation loss; write for instance "
        "losses=[(SoftTargetsLoss(temperature=4.0), 0.7)], from tfkd.distill.losses import SoftTargetsLoss."
    )


def _is_loss(value: Any) -> bool:
    return isinstance(value, (DistillationLoss, Loss, list, tuple, str, type))


def _named(value: Any) -> str:
    return f"keras.losses.{type(value).__name__}" if isinstance(value, keras.losses.Loss) else repr(value)


def names_of(losses: Sequence[Weighted]) -> list[str]:
    """Returns the name of each loss in the logs: `soft_targets_loss`, and `soft_targets_2_loss` for a second one."""
    names: list[str] = []
    for loss, _ in losses:
        uses = sum(name in (f"{loss.name}_loss", *(f"{loss.name}_{n}_loss" for n in range(2, 99))) for name in names)
        names.append(f"{loss.name}_{uses + 1}_loss" if uses else f"{loss.name}_loss")
    return names


def check_keywords(keywords: Collection[str], known: Collection[str]) -> None:
    """Raises a RequestError for arguments that a Distiller does not have; Keras's own `name` is one that it has."""
    for name in sorted(set(keywords) - {"name", "trainable"}):
        hint = nearest(name, [*known, "name"])
        if losses := [kind for kind in LOSSES.values() if name in inspect.signature(kind).parameters]:
            hint = f" It belongs to a loss: losses=[{losses[0].__name__}({name}=…)]."
        raise RequestError(f"The Distiller has no argument {name!r}.{hint}")


def check_weights(weights: list[Any]) -> None:
    """Raises a RequestError if a weight is no number or negative, or all are 0."""
    try:
        numbers = [float(weight) for weight in weights]
    except (TypeError, ValueError) as error:
        raise RequestError(f"The loss weights {weights} must be numbers.") from error
    if not all(0 <= number < math.inf for number in numbers) or sum(numbers) <= 0:
        raise RequestError(f"The loss weights {numbers} must not be negative and must not sum to zero.")


def check_form(form: str) -> None:
    """Raises a RequestError for an unknown value of `predictions_are`."""
    if form not in ("auto", "logits", "probabilities"):
        raise RequestError(
            f"predictions_are = {form!r} must be 'logits', 'probabilities', or 'auto' to decide by values."
        )
