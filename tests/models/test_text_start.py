"""Students of texts that start from a BERT model."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.models import bert_folders
from tests.models.bert_folders import CONFIG, HEADS, LAYERS, WIDTH, write_folder
from tfkd.errors import RequestError
from tfkd.inputs.text.tensors import signature
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.models import build_student
from tfkd.models.bert_config import read_config
from tfkd.models.text_start import _layers
from tfkd.recipe import Student

TENSORS = bert_folders.tensors(inner=4 * WIDTH)
WORDS = TENSORS["embeddings.word_embeddings.weight"]
PIECES = (*SPECIAL, "word3", "word0", "z", "##z")
ALIKE: dict[str, Any] = {"model": "text_transformer", "width": WIDTH / 128, "heads": HEADS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("start") / "bert"
    return str(write_folder(place, TENSORS, CONFIG | {"intermediate_size": 4 * WIDTH}))


def built(folder: str, **settings: Any) -> keras.Model:
    pieces = settings.pop("pieces", PIECES)
    return build_student(Student(weights=folder, **settings), signature(12, pieces), 3, seed=1)


@pytest.mark.parametrize(
    "settings", [{"model": "word_average"}, {"model": "text_convolution"}, ALIKE | {"teacher_layers": []}]
)
def test_word_vectors_are_copied_by_piece(folder: str, settings: dict[str, Any]) -> None:
    model = built(folder, **settings)
    unknown = WORDS[SPECIAL.index("[UNK]")]
    expected = [*WORDS[: len(SPECIAL)], WORDS[7], WORDS[4], unknown, unknown]
    np.testing.assert_array_equal(model.get_layer("words").table, expected)
    assert model.output_shape == (None, 3)


def test_narrower_vectors_keep_their_scalar_products_as_far_as_they_can(folder: str) -> None:
    model = built(folder, model="word_average", width=0.125)
    reduced, whole = (np.array(each.get_layer("words").table) for each in (model, built(folder, model="word_average")))
    assert reduced.shape == (len(PIECES), 16) and whole.shape == (len(PIECES), WIDTH)
    np.testing.assert_allclose(reduced @ reduced.T, whole @ whole.T, atol=1e-6)  # of eight vectors, 16 axes keep all


def test_the_layers_of_a_transformer_are_copied(folder: str) -> None:
    model = built(folder, **ALIKE, layers=1, teacher_layers=[1])
    source = "encoder.layer.1"
    for part, name in (("query", "attention.self.query"), ("inner", "intermediate.dense"), ("outer", "output.dense")):
        kernel, bias = model.get_layer(f"layer_0_{part}").get_weights()
        np.testing.assert_array_equal(kernel, TENSORS[f"{source}.{name}.weight"].T)
        np.testing.assert_array_equal(bias, TENSORS[f"{source}.{name}.bias"])
    positions = TENSORS["embeddings.position_embeddings.weight"] + TENSORS["embeddings.token_type_embeddings.weight"][0]
    np.testing.assert_allclose(model.get_layer("positions").vectors, positions[:12])
    scale, _ = model.get_layer("layer_0_attention_norm").get_weights()
    np.testing.assert_array_equal(scale, TENSORS[f"{source}.attention.output.LayerNorm.weight"])


@pytest.mark.parametrize(("layers", "of", "chosen"), [(6, 12, [0, 2, 4, 7, 9, 11]), (2, 6, [0, 5]), (1, 6, [0])])
def test_layers_are_chosen_as_in_distilbert(tmp_path: Path, layers: int, of: int, chosen: list[int]) -> None:
    folder = write_folder(tmp_path / "m", {}, CONFIG | {"num_hidden_layers": of})
    assert _layers(Student(model="text_transformer", layers=layers), read_config(folder)) == chosen


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ALIKE | {"width": 0.5},
            r"states of 64 with 4 heads, .* of 32 with 4; set student\.width=0\.25 and student\.",
        ),
        (
            ALIKE | {"heads": 2},
            r"set student\.width=0\.25 and student\.heads=4, or set student\.teacher_layers=none",
        ),
        (ALIKE | {"teacher_layers": [0]}, r"teacher_layers = \[0\] must name 2 of the 2 layers"),
        (ALIKE | {"teacher_layers": [0, LAYERS]}, r"teacher_layers = \[0, 2\] must name 2 of the 2 layers"),
        ({"model": "word_average", "teacher_layers": [0, 1]}, "word_average does not read student.teacher_layers"),
        (
            {"model": "word_average", "pieces": (*SPECIAL, "word0", "other", "##wise")},
            "2 of the student's 7 pieces, such as 'other', are not in the vocabulary of .*; set data.vocabulary=",
        ),
    ],
)
def test_a_model_that_does_not_fit_gets_one_line(folder: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        built(folder, **settings)
    assert "\n" not in str(caught.value)


def test_layers_within_another_width_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m", bert_folders.tensors())
    with pytest.raises(RequestError, match=r"has 128 inner units, gelu and 12 positions, .* has 64, gelu and 24: no"):
        built(str(folder), **ALIKE)


def test_layers_need_a_model_to_come_from() -> None:
    with pytest.raises(RequestError, match="reads teacher_layers with weights=teacher alone"):
        Student(model="text_transformer", teacher_layers=[0, 1])
