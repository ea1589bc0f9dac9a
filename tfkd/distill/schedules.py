"""Losses of a recipe, and their weights and temperatures that change between epochs."""

from collections.abc import Callable
from typing import Any

import keras

from tfkd.distill.losses import LOSSES
from tfkd.distill.losses.base import DistillationLoss
from tfkd.errors import RequestError
from tfkd.recipe import AUTO, Distill, Schedule


def losses_of(distill: Distill) -> tuple[list[tuple[DistillationLoss, Any]], Callable[[int], None]]:
    """Returns pairs (loss, weight) for a Distiller, and what sets all scheduled numbers for an epoch, from 0 on."""
    scheduled: list[tuple[keras.Variable, Schedule]] = []
    epochs = distill.training.epochs

    def number(value: float | Schedule) -> Any:
        if not isinstance(value, Schedule):
            return value
        variable = keras.Variable(value.start, trainable=False, dtype="float32")
        scheduled.append((variable, value))
        return variable

    def begin(epoch: int) -> None:
        for variable, schedule in scheduled:
            variable.assign(schedule.at(epoch, epochs))

    losses = []
    for block in distill.losses:
        temperature = getattr(block, "temperature", None)
        if isinstance(temperature, Schedule):
            loss, _ = loss_of(block.model_copy(update={"temperature": temperature.start, "weight": 1.0}))
            loss.temperature = number(temperature)
        else:
            loss, _ = loss_of(block.model_copy(update={"weight": 1.0}))
        losses.append((loss, number(block.weight)))
    return losses, begin


def loss_of(block: Any) -> tuple[DistillationLoss, float]:
    """Returns the loss of a recipe's block, and its weight.

    Raises:
        RequestError: a number of it changes over the training or is chosen at its start, which only a run can do.
    """
    arguments = {name: getattr(block, name) for name in type(block).model_fields if name not in ("kind", "weight")}
    for name, value in {**arguments, "weight": block.weight}.items():
        if isinstance(value, Schedule):
            raise RequestError(
                f"{block.kind}: {name} is a Schedule of a recipe, which only `tfkd run` follows; give a keras.Variable "
                "and change it in a callback."
            )
    if arguments.get("temperature") == AUTO:
        raise RequestError(
            f"{block.kind}: temperature='auto' is chosen from a run's stored predictions; give a number from 1 to 8."
        )
    return LOSSES[block.kind](**arguments), block.weight
