"""Answers of the user's benchmark binary to golden images, on a virtual device."""

from dataclasses import replace
from pathlib import Path

import numpy as np

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
