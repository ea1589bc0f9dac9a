"""Answers of the user's benchmark binary to golden images, on a virtual device."""

import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmark.android.stand_in import options, predictions, write_tool
from tests.benchmark.virtual_device import VirtualDevice
from tfkd.benchmark.android import answers, target
from tfkd.benchmark.subject import of_files
from tfkd.errors import RequestError
from tfkd.formats.families import LITERT_KERNELS, XNNPACK
from tfkd.inputs.text.vocabulary import SPECIAL, VOCABULARY, Vocabulary


def test_answers_to_golden_images_are_compared(device: VirtualDevice, tmp_path: Path, classifier: Path) -> None:
    answer = np.array([[0.125, 0.25, 0.625]], np.float32)  # as the stand-in writes it
    wrong = answer[:, ::-1]
    expected = {
        "whole.tflite": predictions({XNNPACK: answer, LITERT_KERNELS: wrong}),
        "outside.tflite": predictions({XNNPACK: wrong, LITERT_KERNELS: answer}),
        "wrong.tflite": predictions({XNNPACK: wrong, LITERT_KERNELS: wrong}),
    }
    files = of_files(dict.fromkeys(expected, classifier))
    subject = replace(files, images=np.zeros((1, 4, 4, 3), np.uint8), expected=expected)
    found = target.bench(device.serial, subject, options(write_tool(tmp_path)))
    checks = {each.artifact.path: (each.golden.family, each.golden.passed) for each in found if each.golden}
    assert checks == {
        "whole.tflite": (XNNPACK, True),
        "outside.tflite": (LITERT_KERNELS, True),
        "wrong.tflite": (XNNPACK, False),
    }


@pytest.fixture(scope="module")
def of_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of texts with a vocabulary of five pieces."""
    spec = tf.TensorSpec((1, 4), tf.int32)

    @tf.function(input_signature=[spec, spec, spec])
    def classify(ids, mask, segment_ids):
        return tf.nn.softmax(tf.gather(tf.eye(3), ids[:, 0]))

    path = tmp_path_factory.mktemp("texts") / "text.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()]).convert())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(VOCABULARY, Vocabulary((*SPECIAL, "word")).text)
    return path


def test_random_ids_are_in_the_vocabulary_or_the_tool_is_refused(of_texts: Path, classifier: Path) -> None:
    def found(path: Path, litert: bool) -> dict[str, str]:
        tool: Any = SimpleNamespace(litert=litert, path=Path("benchmark_model"))
        return answers.inputs(tool, of_files({path.name: path}), path.name)

    assert found(of_texts, litert=False)["input_layer_value_range"] == "ids,0,3"
    with pytest.raises(RequestError, match=r"a vocabulary of 5 pieces, but benchmark_model is LiteRT's"):
        found(of_texts, litert=True)
    assert found(classifier, litert=False) == found(classifier, litert=True) == {}


def test_texts_are_given_as_ids_with_the_inputs_that_nobody_reads(
    device: VirtualDevice, tmp_path: Path, of_texts: Path
) -> None:
    check = """
for option; do
  case $option in
    --input_layer_value_files=ids:*) [ "$(echo $(od -An -tu1 ${option#*ids:}))" = "IDS" ] || exit 1 ;;
  esac
done
case "$*" in
  *"--input_layer=ids,mask,segment_ids --input_layer_shape=1,4:1,4:1,4 --input_layer_value_"*) ;;
  *) exit 1 ;;
esac"""
    ids = np.array([[2, 1, 3, 0]], np.int32)
    tool = write_tool(tmp_path, extra=check.replace("IDS", " ".join(map(str, ids.tobytes()))))
    expected = predictions({XNNPACK: np.array([[0.125, 0.25, 0.625]], np.float32)})
    subject = replace(of_files({"text.tflite": of_texts}), images=ids, expected={"text.tflite": expected})
    (found,) = target.bench(device.serial, subject, options(tool))
    assert found.golden is not None and found.golden.passed
