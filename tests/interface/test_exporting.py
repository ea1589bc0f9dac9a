"""`tfkd.export` with a model, labels and arrays in memory, and the functions for its bundle."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import tfkd
from tfkd.pipeline.stage import locked

pytestmark = pytest.mark.slow

SIZE, IMAGES = 32, 60
GATES = ("bench.runs=5", "gates.min_agreement=null")


class Halved(keras.layers.Layer):
    """A layer of the session, not registered and without a configuration."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor


def photos() -> tuple[np.ndarray, np.ndarray]:
    """Returns images of noise, uint8 [n, 40, 48, 3], half of them dark, and their labels."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(128, 256, (IMAGES, 40, 48, 3), dtype=np.uint8), np.arange(IMAGES) % 2
    images[labels == 1] //= 4
    return images, labels


def classifier() -> keras.Model:
    """Returns a classifier for dark and bright images."""
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            Halved(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ],
        name="light",
    )
    weights = np.array([[4.0, -4.0]] * 3, np.float32), np.array([-5.0, 5.0], np.float32)
    model.layers[-1].set_weights(list(weights))
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("export")
    return tfkd.export(
        classifier(),
        *GATES,
        labels=["bright", "dark"],
        data=photos(),
        tflite=["fp32", "int8"],
        coreml=["mlmodel", "mlpackage"],
        onnx=True,
        runs=folder / "runs",
        out=folder / "bundles",
    )


def test_a_model_in_memory_becomes_a_published_bundle(exported: Any) -> None:
    assert exported.passed and exported.bundle_folder.parts[-2:] == ("bundles", "light")
    assert exported.manifest.student.accuracy == 1.0
    assert [row["variant"] for row in exported.comparison] == ["fp32", "int8"]
    assert {gate["verdict"] for gate in exported.gates} == {"passed", "not judged"}
    assert exported.devices[0]["latency_ms"]["median"] > 0
    assert tfkd.verify(exported.bundle, data=photos()).passed


@pytest.mark.parametrize("number", range(5))
def test_every_file_predicts_as_the_model(exported: Any, number: int) -> None:
    images, labels = photos()
    bundle = exported.bundle
    file = bundle.manifest.artifacts[number].path
    squares = np.stack([image[:, 4:44] for image in images])
    resized = np.stack([Image.fromarray(each).resize((SIZE, SIZE), 2) for each in squares])
    found = bundle.predict(images, file)
    assert found.dtype == np.float32 and found.shape == (IMAGES, 2)
    assert (found.argmax(axis=1) == labels).all()
    assert np.abs(found - classifier()(resized.astype(np.float32)).numpy()).max() < 0.03


def test_images_of_any_size_are_fitted_or_refused(exported: Any) -> None:
    images, _ = photos()
    several = exported.bundle.predict([images[0], images[1][:33, :47], np.repeat(images[0], 3, axis=0)])
    assert several.argmax(axis=1).tolist() == [0, 1, 0]
    assert np.array_equal(exported.bundle.predict(images[0]), exported.bundle.predict(images[:1].astype(np.float64)))
    assert exported.bundle.predict(images[:0]).shape == (0, 2)
    for wrong, message in (
        (images / 255.0, "to 1; give RGB values from 0 to 255, not normalised"),
        (images[..., 0], r"has the shape \(60, 40, 48\)"),
        (np.full((1, 8, 8, 3), np.nan), "not finite"),
        (7, "images = 7 must be an array, or a list of images"),
    ):
        with pytest.raises(tfkd.RequestError, match=message):
            exported.bundle.predict(wrong)


def test_an_export_writes_nothing_where_another_one_works(tmp_path: Path) -> None:
    with locked(tmp_path / "light"), pytest.raises(tfkd.RequestError, match="Another run"):
        tfkd.export(classifier(), labels=["bright", "dark"], data=photos(), runs=tmp_path, out=tmp_path / "bundles")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".lock"]


def test_a_bundle_is_timed_and_keeps_the_results(exported: Any) -> None:
    found = tfkd.bench(exported.bundle, only="*_fp32.tflite", runs=5, processes=1, warmup=1, threads=[1])
    assert found.passed and found.record is not None and found.record.is_file()
    assert [len(result.samples_ms) for result in found.results] == [5]
    assert "passed" in found._repr_html_() and "light_fp32.tflite" in repr(found)
    assert not tfkd.bench(exported.bundle, runs=5, processes=1, warmup=1, max_median_ms=1e-6, record=False).passed
    assert any(row["created"] > exported.manifest.created for row in exported.devices)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: tfkd.export(3, labels=["a", "b"], data=photos(), name="m"),
            "model = 3 must be a keras.Model, or the path",
        ),
        (lambda: tfkd.export("none.keras", labels=["a"], data=photos()), r"the 1 classes are 0 to 0"),
        (lambda: tfkd.export("none.keras", labels=["a", "a"], data=photos()), "Two classes are named 'a'"),
        (lambda: tfkd.export("none.keras", labels=["a"], data=photos(), name="../x"), "name = '../x'"),
        (lambda: tfkd.export("none.keras", "gates.nun=1", labels=["a"], data="folder:x"), "no field 'gates.nun'"),
        (lambda: tfkd.bench("none", rnus=5), r"There is no option 'rnus'\. Did you mean 'runs'"),
        (lambda: tfkd.bench("none", max_median_ms=1), "none"),
        (lambda: tfkd.verify("none"), "none"),
        (lambda: tfkd.run("none.py"), "No recipe at none.py"),
        (lambda: tfkd.load_recipe("none.py"), "No recipe at none.py"),
    ],
)
def test_a_wrong_request_is_one_line(
    call: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tfkd.RequestError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")
