"""Two classifiers on one body, which become one."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.distill.test_control import CLASSES, data, job, photos, recipe, store  # noqa: F401
from tfkd.data.dataset import Dataset
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.recipe import Distill, Hint, SoftTargets
from tfkd.training.heads import two_heads
from tfkd.training.job import Job
from tfkd.training.student import distilled

pytestmark = pytest.mark.parametrize("job", ["student"], indirect=True)


def test_the_merged_classifier_gives_the_weighted_mean_of_both(job: Job) -> None:  # noqa: F811
    student = build_student(job.student, signature(32), 7, 1)
    heads = two_heads(student, 0.3, 1)
    rng = np.random.default_rng(0)
    for head in (heads.teacher_head, heads.label_head):
        head.set_weights([rng.normal(size=weight.shape) for weight in head.get_weights()])
    features = keras.Model(student.input, heads.teacher_head.input)
    images = rng.uniform(0, 255, (16, 32, 32, 3)).astype(np.float32)
    both = [head(features(images)).numpy() for head in (heads.teacher_head, heads.label_head)]
    mean = 0.7 * both[0] + 0.3 * both[1]
    np.testing.assert_allclose(heads.network(images).numpy(), mean, atol=1e-5)
    heads.merge()
    np.testing.assert_allclose(student(images).numpy(), mean, atol=1e-5)
    assert student.output_shape == (None, 7) and "label_head" not in [layer.name for layer in student.layers]


def test_each_learns_from_one_side_alone(job: Job, data: Dataset) -> None:  # noqa: F811
    """The teacher prefers the first class for every image, and every label is the second."""
    training = job.recipe.distill.training.model_copy(update={"learning_rate": 0.1, "warmup_epochs": 0.0})
    losses = [SoftTargets(temperature=1.0, weight=1.0)]
    changes = {"label_head": 0.5, "label_weight": 10.0, "losses": losses, "training": training}
    distill = job.recipe.distill.model_copy(update=changes)
    job = replace(job, recipe=job.recipe.model_copy(update={"distill": distill}))
    student = build_student(job.student, signature(32), CLASSES, 1)
    heads = two_heads(student, 0.5, 1)
    model, batches, _ = distilled(job, heads.network, data, signature(32))
    relabelled = batches(0).map(lambda x, y: (x, 0 * y + 1))
    for _ in range(4):
        model.fit(relabelled, verbose=0)
    features = keras.Model(student.input, heads.teacher_head.input)
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
    assert (heads.teacher_head(features(images)).numpy().argmax(axis=1) == 0).all()
    assert (heads.label_head(features(images)).numpy().argmax(axis=1) == 1).all()


def test_a_student_that_cannot_have_two_is_refused(job: Job) -> None:  # noqa: F811
    image = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(keras.layers.Conv2D(2, 1)(image))
    with pytest.raises(RequestError, match="needs a student that ends in a dense layer, and 'own' ends in a Global"):
        two_heads(keras.Model(image, pooled, name="own"), 0.5, 1)
    with pytest.raises(RequestError, match="set label_weight above 0 and a loss on logits"):
        Distill(label_head=0.5, label_weight=0)
    with pytest.raises(RequestError, match="set label_weight above 0 and a loss on logits"):
        Distill(label_head=0.5, losses=[Hint()])
