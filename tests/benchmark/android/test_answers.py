"""Answers of the user's benchmark binary to golden images, on a virtual device."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.benchmark.android.stand_in import options, predictions, write_tool
from tests.benchmark.virtual_device import VirtualDevice
from tfkd.benchmark.android import target
from tfkd.benchmark.subject import of_files
from tfkd.formats.families import LITERT_KERNELS, XNNPACK


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


def test_texts_are_given_as_ids_with_the_inputs_that_nobody_reads(device: VirtualDevice, tmp_path: Path) -> None:
    spec = tf.TensorSpec((1, 4), tf.int32)

    @tf.function(input_signature=[spec, spec, spec])
    def classify(ids, mask, segment_ids):
        return tf.nn.softmax(tf.gather(tf.eye(3), ids[:, 0]))

    path = tmp_path / "text.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()]).convert())
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
    subject = replace(of_files({"text.tflite": path}), images=ids, expected={"text.tflite": expected})
    (found,) = target.bench(device.serial, subject, options(tool))
    assert found.golden is not None and found.golden.passed
