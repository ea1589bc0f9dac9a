"""The losses that a recipe describes."""

import pytest
from pydantic import ValidationError

from tfkd.distill.losses import LOSSES
from tfkd.distill.schedules import losses_of
from tfkd.recipe import Attention, Distill, Hint, Schedule, SoftTargets, Training


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_that_a_recipe_names_can_be_made_with_its_defaults(kind: str) -> None:
    distill = Distill.model_validate({"losses": [{"kind": kind}]})
    ((loss, weight),), _ = losses_of(distill)
    assert isinstance(loss, LOSSES[kind])
    assert weight > 0


def test_scheduled_numbers_follow_the_epochs() -> None:
    losses = [
        SoftTargets(temperature=Schedule(start=8.0, end=2.0), weight=0.5),
        SoftTargets(temperature=3.0, weight=Schedule(start=0.0, end=1.0, shape="cosine")),
    ]
    weighted, begin = losses_of(Distill(losses=losses, training=Training(epochs=4)))
    values = []
    for epoch in range(4):
        begin(epoch)
        values.append((float(weighted[0][0].temperature), float(weighted[1][1])))
    assert [temperature for temperature, _ in values] == pytest.approx([8.0, 6.0, 4.0, 2.0])
    assert [weight for _, weight in values] == pytest.approx([0.0, 0.25, 0.75, 1.0])
    assert float(weighted[0][1]) == 0.5
    assert float(weighted[1][0].temperature) == 3.0


def test_a_single_epoch_has_the_first_value() -> None:
    assert Schedule(start=5.0, end=1.0).at(0, 1) == 5.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, {"start": 2.0, "end": 0.0}])
def test_a_temperature_must_be_above_zero(temperature: object) -> None:
    with pytest.raises(ValidationError, match="above 0"):
        SoftTargets.model_validate({"temperature": temperature})


@pytest.mark.parametrize("temperature", [float("nan"), float("inf")])
def test_a_temperature_must_be_finite(temperature: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        SoftTargets.model_validate({"temperature": temperature})


def test_a_store_has_the_features_of_the_losses_and_the_requested_ones() -> None:
    distill = Distill(losses=[SoftTargets(), Hint(), Attention(teacher_tap="stage:8")], features=["penultimate"])
    assert distill.teacher_taps == ["penultimate", "pooled", "stage:8"]
