import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import pytest

from tests.verification.conftest import CARD, SIGNATURE, SIZE, Exported
from tfkd.inputs.image.tensors import signature
from tfkd.verification import VerifyError, coreml


@pytest.mark.parametrize("kind", [".mlmodel", ".mlpackage"])
def test_an_exported_description_is_correct(exported: Exported, kind: str) -> None:
    io = coreml.check(exported.path(kind), CARD, SIGNATURE)
    assert (io.input.name, io.input.shape, io.input.range) == ("image", [1, SIZE, SIZE, 3], [0, 255])
    assert (io.output.name, io.output.shape) == ("classProbability", [1, 3])


@pytest.mark.parametrize("kind", [".mlmodel", ".mlpackage"])
@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"classes": ("dog", "cat", "größerer Hund")}, "its class label 0 is 'cat', not 'dog'"),
        ({"classes": ("cat", "dog")}, "it has 3 class labels, not 2"),
        ({"author": "Eve"}, "its author is 'Ada', not 'Eve'"),
        ({"version": "4"}, "its version is '3', not '4'"),
    ],
)
def test_another_card_is_caught(exported: Exported, kind: str, card: dict[str, Any], message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        coreml.check(exported.path(kind), dataclasses.replace(CARD, **card), SIGNATURE)


def test_another_size_is_caught(exported: Exported) -> None:
    with pytest.raises(VerifyError, match="height 32, width 32, not colours RGB, height 64, width 64"):
        coreml.check(exported.path(".mlmodel"), CARD, signature(64))


def scale_pixels(specification: Any) -> None:
    specification.neuralNetworkClassifier.preprocessing[0].scaler.channelScale = 1 / 255


def shift_pixels(specification: Any) -> None:
    specification.neuralNetworkClassifier.preprocessing[0].scaler.blueBias = -104.0


def subtract_mean_image(specification: Any) -> None:
    specification.neuralNetworkClassifier.preprocessing.add().meanImage.meanImage.extend([1.0, 2.0])


def swap_colours(specification: Any) -> None:
    specification.description.input[0].type.imageType.colorSpace = ct.proto.FeatureTypes_pb2.ImageFeatureType.BGR


def lose_the_probabilities(specification: Any) -> None:
    specification.neuralNetworkClassifier.layers[-1].output[0] = "Identity"


def take_an_array(specification: Any) -> None:
    specification.description.input[0].type.multiArrayType.shape.extend([1, 3, SIZE, SIZE])


def rename_the_label(specification: Any) -> None:
    specification.description.predictedFeatureName = "label"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (scale_pixels, "normalises its input a second time"),
        (shift_pixels, "normalises its input a second time"),
        (subtract_mean_image, "normalises its input a second time"),
        (swap_colours, "its input has colours BGR"),
        (lose_the_probabilities, "no layer makes its probabilities, 'classProbability'"),
        (take_an_array, "does not take exactly one image"),
        (rename_the_label, "does not name 'classLabel' as its prediction"),
    ],
)
def test_a_damaged_description_is_caught(
    exported: Exported, tmp_path: Path, damage: Callable[[Any], None], message: str
) -> None:
    specification = ct.utils.load_spec(str(exported.path(".mlmodel")))
    damage(specification)
    path = tmp_path / "damaged.mlmodel"
    path.write_bytes(specification.SerializeToString())
    with pytest.raises(VerifyError, match=message):
        coreml.check(path, CARD, SIGNATURE)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"garbage" * 50])
def test_a_hostile_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hostile.mlmodel"
    path.write_bytes(content)
    with pytest.raises(VerifyError, match=r"hostile\.mlmodel: is ") as caught:
        coreml.check(path, CARD, SIGNATURE)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused_in_one_line(exported: Exported, tmp_path: Path) -> None:
    content = exported.path(".mlmodel").read_bytes()
    path = tmp_path / "cut.mlmodel"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(VerifyError, match=r"cut\.mlmodel: is not a whole Core ML file"):
        coreml.check(path, CARD, SIGNATURE)


def test_an_empty_package_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mlpackage").mkdir()
    with pytest.raises(VerifyError, match=r"empty\.mlpackage: cannot be read"):
        coreml.check(tmp_path / "empty.mlpackage", CARD, SIGNATURE)
