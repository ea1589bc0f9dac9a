"""The losses that a recipe asks for, and the numbers of theirs that change from epoch to epoch."""

from collections.abc import Callable
from typing import Any

import keras

from tfkd.distill.losses import LOSSES
from tfkd.distill.losses.base import DistillationLoss
from tfkd.recipe import Distill, Schedule


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
        arguments = {name: getattr(block, name) for name in type(block).model_fields if name not in ("kind", "weight")}
        temperature = arguments.get("temperature")
        if isinstance(temperature, Schedule):
            loss = LOSSES[block.kind](**{**arguments, "temperature": temperature.start})
            loss.temperature = number(temperature)
        else:
            loss = LOSSES[block.kind](**arguments)
        losses.append((loss, number(block.weight)))
    return losses, begin
