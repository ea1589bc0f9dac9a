"""The temperature that is chosen from stored predictions."""

from dataclasses import replace

import numpy as np
import pytest

from tests.distill.test_control import data, job, photos, recipe, store  # noqa: F401
from tfkd.distill.measures import flatness
from tfkd.distill.schedules import loss_of
from tfkd.errors import RequestError
from tfkd.recipe import Dist, Hint, SoftTargets, Standardized
from tfkd.training.job import Job
from tfkd.training.temperature import ENTROPY, temperature_for, with_temperatures

NOISE = np.random.default_rng(0).normal(size=(500, 10))


def test_it_is_the_lowest_that_reaches_the_entropy() -> None:
    chosen = temperature_for([6 * NOISE], [1.0])
    assert 1 < chosen < 8 and round(chosen, 1) == chosen
    assert flatness(6 * NOISE, chosen - 0.1) < ENTROPY <= flatness(6 * NOISE, chosen)


@pytest.mark.parametrize(("size", "chosen"), [(0.1, 1.0), (1000.0, 8.0)])
def test_it_stays_within_its_range(size: float, chosen: float) -> None:
    assert temperature_for([size * NOISE], [1.0]) == chosen


def test_teachers_count_by_their_weight() -> None:
    sure, unsure = 20 * NOISE, 6 * NOISE
    between = temperature_for([sure, unsure], [1.0, 1.0])
    assert temperature_for([unsure], [1.0]) < between < temperature_for([sure], [1.0])
    assert between < temperature_for([sure, unsure], [3.0, 1.0])


def losses_in(job: Job, *losses: object) -> Job:  # noqa: F811
    distill = job.recipe.distill.model_copy(update={"losses": list(losses)})
    return Job(**{**vars(job), "recipe": job.recipe.model_copy(update={"distill": distill})})


@pytest.mark.parametrize("job", ["student"], indirect=True)
def test_every_loss_that_asks_for_it_gets_the_same_and_the_others_keep_theirs(job: Job) -> None:  # noqa: F811
    losses = [SoftTargets(temperature="auto"), Dist(temperature="auto"), SoftTargets(temperature=3.0), Hint()]
    distill = job.recipe.distill.model_copy(update={"losses": losses})
    lesson, chosen = with_temperatures(replace(job, recipe=job.recipe.model_copy(update={"distill": distill})))
    soft, dist, own, _ = lesson.recipe.distill.losses
    assert chosen == soft.temperature == dist.temperature == 1.0  # logits of 1 and 0 are far from sure
    assert own.temperature == 3.0
    assert with_temperatures(job) == (job, None)


def test_a_loss_without_stored_predictions_needs_a_number() -> None:
    with pytest.raises(RequestError, match="temperature='auto' is chosen from a run's stored predictions"):
        loss_of(SoftTargets(temperature="auto"))
    with pytest.raises(RequestError, match="standardised logits have the same spread"):
        Standardized(temperature="auto")
