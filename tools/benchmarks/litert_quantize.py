"""Quantizes a float .tflite file to int8 with litert-quantizer; runs in an environment that has it, without tfkd.

    python litert_quantize.py FLOAT.tflite IMAGES.npy METHOD OUT.tflite
    python litert_quantize.py                                               prints versions as JSON

The images are [n, S, S, 3] pixels 0..255, which the file takes as float32. All methods are its recipe static_wi8_ai8:
weights int8 per channel, activations int8 per tensor, bytes in and out.

    moving_average   its default: the ranges of activations are a moving average over the images
    min_max          the ranges cover all values
    octav            its algorithm OCTAV (Sakr et al. 2022, arXiv:2206.06501), which clips, for the whole recipe
    octav_weights    OCTAV for the weights of convolutions and dense layers, otherwise its default
"""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from litert_quantizer import calibrator, qtyping, recipe, recipe_manager
from litert_quantizer.quantizer import AlgorithmName, Quantizer
from litert_quantizer.utils import qsv_utils

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
PACKAGES = ("litert-quantizer", "ai-edge-litert", "numpy", "scipy")


def quantize(network: Path, images: np.ndarray, method: str, out: Path) -> None:
    """Writes the quantized file; an exception of litert-quantizer ends the process."""
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe_of(method))
    update = qsv_utils.min_max_update if method == "min_max" else qsv_utils.moving_average_update
    # One thread, so that equal images give equal ranges.
    seen = calibrator.Calibrator(str(network), num_threads=1, qsv_update_func=update)
    name = next(iter(seen.get_signature_list()["serving_default"]["inputs"]))
    samples = [{name: image[np.newaxis].astype(np.float32)} for image in images]
    seen.calibrate({"serving_default": samples}, manager)
    quantized = Quantizer(str(network), manager.get_quantization_recipe()).quantize(
        seen.get_model_qsvs(), enable_progress_bar=False, enable_progress_report=False
    )
    out.write_bytes(quantized.quantized_model)


def recipe_of(method: str) -> Any:
    """Returns the recipe of a method."""
    if method == "octav":
        return recipe.static_wi8_ai8(AlgorithmName.OCTAV)
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe.static_wi8_ai8())
    if method == "octav_weights":
        for kind in WEIGHTED:
            manager.add_static_config(".*", qtyping.TFLOperationName[kind], 8, 8, algorithm_key=AlgorithmName.OCTAV)
    return manager.get_quantization_recipe()


def main() -> None:
    match sys.argv[1:]:
        case []:
            print(json.dumps({"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}))
        case [network, images, method, out]:
            quantize(Path(network), np.load(images, allow_pickle=False), method, Path(out))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
