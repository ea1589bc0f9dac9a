"""Texts in two tensors work with sources, checks, batches, soft labels and a Distiller, as images do."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.inputs.letters import LENGTH, LettersReading
from tests.report.conftest import build_manifest
from tfkd import Distiller, data
from tfkd.bundle.manifest import Manifest
from tfkd.data import Dataset
from tfkd.data.batches import numbered_views, plain_batches
from tfkd.data.renderings import rendered
from tfkd.distill.measures import accuracy
from tfkd.distill.predict import predict, predictor
from tfkd.errors import RequestError
from tfkd.inputs import KINDS, kind_of
from tfkd.inputs.image.reading import ImageReading
from tfkd.recipe import Augment, Data
from tfkd.store import inference
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import SoftLabels, write_soft_labels

CLASSES = 2
layers = keras.layers


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "letters", "tests.inputs.letters")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Words of the first or of the last letters of the alphabet, and a file that is not a text."""
    rng = np.random.default_rng(0)
    for name, letters in (("early", "abcdefg"), ("late", "tuvwxyz")):
        (tmp_path / "texts" / name).mkdir(parents=True)
        for number in range(30):
            word = "".join(rng.choice(list(letters), 16))
            (tmp_path / "texts" / name / f"{number:02d}.txt").write_text(word)
    (tmp_path / "texts" / "early" / "broken.txt").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "texts" / "late" / "empty.txt").write_text("1 2 3")
    return tmp_path / "texts"


def opened(texts: Path) -> Dataset:
    return data.open_source(Data(source=f"folder:{texts}", kind="letters", max_rejected=0.1), 1)


def test_a_manifest_states_what_its_student_takes() -> None:
    letters = LettersReading().signature(None)
    student = build_manifest().student.model_copy(update={"signature": letters})
    stored = build_manifest(student=student).model_dump_json(by_alias=True)
    assert Manifest.model_validate_json(stored, strict=True).signature == letters
    assert build_manifest().signature == ImageReading().signature(Data(source="folder:x"))


def network(seed: int, width: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = {
        "ids": keras.Input((LENGTH,), dtype="int32", name="ids"),
        "mask": keras.Input((LENGTH,), name="mask"),
    }
    embedded = layers.Embedding(32, width)(inputs["ids"]) * inputs["mask"][..., None]
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.Dense(width, "relu")(layers.Flatten()(embedded))))


def test_a_source_is_checked_by_the_package_of_its_kind(texts: Path) -> None:
    found = opened(texts)
    assert found.kind is kind_of("letters") and found.classes == ("early", "late")
    assert found.rejected == ("early/broken.txt: no text in UTF-8",)
    assert "texts are read letter by letter" in found.notes
    assert "late/empty.txt holds no letter" in found.warnings
    assert len(found.train) + len(found.validation) + len(found.test) == 61
    with pytest.raises(RequestError, match=r"no kind of input 'letter'\. Did you mean 'letters'"):
        data.open_source(Data(source=f"folder:{texts}", kind="letter"), 1)


def test_batches_hold_every_tensor_by_its_name(texts: Path) -> None:
    found = opened(texts)
    signature = found.reading.signature(Data(source="folder:x"))
    inputs, labels = next(iter(plain_batches(found.train, signature, 4)))
    assert {name: (tuple(each.shape), each.dtype.name) for name, each in inputs.items()} == {
        "ids": ((4, LENGTH), "int32"),
        "mask": ((4, LENGTH), "float32"),
    }
    expected, _ = found.train.reading.plain(found.train.load(0), signature)
    np.testing.assert_array_equal(inputs["ids"][0], expected)
    assert labels.numpy().tolist() == found.train.labels[:4].tolist()


def test_views_are_mixed_by_the_kind(texts: Path) -> None:
    found, augment = opened(texts), Augment(mix="mixup", mix_share=1.0)
    signature, positions = found.reading.signature(Data(source="folder:x")), np.arange(6)
    (mixed,) = numbered_views(found.train, augment, 1, 0, positions, signature, 6)
    (plain,) = numbered_views(found.train, Augment(), 1, 0, positions, signature, 6)
    assert (mixed["share"].numpy() == 0.5).all() and mixed.keys() - plain.keys() >= {"partner", "partner_label"}
    np.testing.assert_array_equal(mixed["inputs"]["ids"][:, : LENGTH // 2], plain["inputs"]["ids"][:, : LENGTH // 2])


def test_a_rendering_changes_finished_batches(texts: Path) -> None:
    found = rendered("blind", opened(texts))
    inputs, _ = next(iter(plain_batches(found.test, found.reading.signature(None), 4)))
    assert not inputs["mask"].numpy().any() and inputs["ids"].numpy().any()


def test_a_student_learns_from_the_stored_predictions_of_a_teacher(texts: Path, tmp_path: Path) -> None:
    found = opened(texts)
    signature = found.reading.signature(None)

    def batches(model: keras.Model) -> Any:
        return predict(predictor(model), plain_batches(found.test, signature, 8))

    teacher, student = network(1, 16), network(2, 4)
    alone = Distiller(teacher, losses=[], label_weight=1.0)
    alone.compile(keras.optimizers.Adam(0.02))
    alone.fit(plain_batches(found.train, signature, 8), epochs=8, verbose=0)
    assert accuracy(batches(teacher), found.test.labels) > 0.9
    teacher.trainable = False
    layout = Layout.for_classes(CLASSES)
    header = {"fingerprint": "x", "images": len(found.train), "views": 1, "layout": layout.described()}
    answer = inference.view_predictor(teacher, (), found.train, Augment(), 1, CLASSES, 1, tmp_path)
    write_soft_labels(tmp_path, header, answer, lambda count: None)
    store = SoftLabels(tmp_path, header)
    positions = np.arange(len(found.train))
    views = next(iter(numbered_views(found.train, Augment(), 1, 0, positions, signature, len(positions))))
    stored = {**views["inputs"], "teacher_logits": store.read(positions, 0)["logits"]}
    learner = Distiller(student, predictions_are="logits")
    learner.compile(keras.optimizers.Adam(0.02))
    learner.fit({name: np.asarray(value) for name, value in stored.items()}, epochs=25, verbose=0)
    assert accuracy(batches(student), found.test.labels) > 0.9
