from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.data.photos import READING, fill
from tfkd.data import folder
from tfkd.data.batches import numbered_views
from tfkd.inputs.image.tensors import signature
from tfkd.recipe import Augment
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import SoftLabels, write_soft_labels
from tfkd.training.student import with_mean_predictions, with_predictions

CLASSES, VIEWS, IMAGES = 3, 4, 11
LAYOUT = Layout(CLASSES, features={"pooled": (5,)})


def predict(images: np.ndarray, view: int) -> dict[str, np.ndarray]:
    first = 8.0 * np.asarray(images)[:, None] + view
    return {"logits": first + np.arange(CLASSES) / 4, "pooled": -first + np.arange(5) / 4}


def a_store(path: Path) -> SoftLabels:
    header = {"fingerprint": "abc", "images": IMAGES, "views": VIEWS, "layout": LAYOUT.described()}
    write_soft_labels(path, header, lambda images, view: iter([predict(images, view)]), lambda count: None)
    return SoftLabels(path, header)


def test_every_teacher_predicts_the_view(tmp_path: Path) -> None:
    stores = [a_store(tmp_path / "first"), a_store(tmp_path / "second")]
    split = folder.listing(str(fill(tmp_path / "photos", {"a": 4, "b": 7})), READING).splits["train"]
    order = np.array([7, 3, 0, 10])
    (batch,) = numbered_views(split, Augment(), 1, 2, order, signature(16), 4)
    x = with_predictions(batch, stores, 2)
    np.testing.assert_array_equal(x.inputs, batch["inputs"])
    np.testing.assert_array_equal(x.index, order)
    assert len(x.predictions) == 2
    for answers in x.predictions:
        for name, values in predict(order, 2).items():
            np.testing.assert_array_equal(answers[name], values)


def test_targets_of_new_views_are_means_and_mixed_as_the_views_are(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store")
    split = folder.listing(str(fill(tmp_path / "photos", {"a": 4, "b": 7})), READING).splits["train"]
    order = np.arange(IMAGES)
    (batch,) = numbered_views(split, Augment(mix="cutmix"), 1, 9, order, signature(16), IMAGES)
    (answers,) = with_mean_predictions(batch, [store]).predictions
    share = batch["share"].numpy()[:, None]
    assert 0 < (share < 1).sum() < IMAGES
    assert answers["pooled"].dtype == tf.float32
    for name, values in predict(order, 0).items():
        mean = values + np.sign(values[-1, 0]) * (VIEWS - 1) / 2
        np.testing.assert_allclose(answers[name], share * mean + (1 - share) * mean[batch["partner"]], rtol=1e-6)
