"""Runs one TFLite file with LiteRT, on ARM64 and on this machine in the same way: `python runner.py FOLDER`.

The folder holds model.tflite and images.npy (raw, uint8 [n, ...] or int32 ids [n, length]; if n is 0, two
examples of noise are drawn). The runner overwrites answers.npy (float32 [n, classes], probabilities) and prints one
line of JSON: {"litert": version, "integer": whether the output is an integer}. Any Python with LiteRT runs it by its
path; it imports nothing of tfkd. One inference is between the last two marks (tools/arm64/count.c), and nothing between
the two marks before them, which measures the cost of marking.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

MARK = -0x74666B64
_LEAST_PIECES = 4  # of a vocabulary
_close = ctypes.CDLL(None).close


def main(folder: Path) -> None:
    """Marks an inference, then predicts every image; the inference comes first, so that no image changes its cost."""
    interpreter = Interpreter(model_path=str(folder / "model.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    entry = _entry(interpreter)
    values = _LEAST_PIECES if entry["dtype"] == np.int32 else 256
    noise = np.random.default_rng(0).integers(0, values, (2, *entry["shape"][1:]), dtype=np.uint8)
    _predict(interpreter, noise[0])
    for _ in range(2):
        _bracket(interpreter.invoke)
    images = np.load(folder / "images.npy", allow_pickle=False)
    predictions = [_predict(interpreter, image) for image in (images if len(images) else noise)]
    np.save(folder / "answers.npy", np.stack(predictions))
    integer = np.issubdtype(interpreter.get_output_details()[0]["dtype"], np.integer)
    print(json.dumps({"litert": version("ai-edge-litert"), "integer": bool(integer)}))


def _entry(interpreter: Any) -> dict[str, Any]:
    """Returns the input that an example is given to: of several that of ids; MediaPipe's others are not read."""
    inputs = interpreter.get_input_details()
    return next((each for each in inputs if each["name"] == "ids"), inputs[0])


def _predict(interpreter: Any, image: np.ndarray) -> np.ndarray:
    """Files take raw values: as floats, as bytes, 128 lower as int8, or as ids."""
    entry, (result,) = _entry(interpreter), interpreter.get_output_details()
    offset = -128 if entry["dtype"] == np.int8 else 0
    interpreter.set_tensor(entry["index"], (image + np.int16(offset)).astype(entry["dtype"])[np.newaxis])
    interpreter.invoke()
    values = interpreter.get_tensor(result["index"])[0].astype(np.float32)
    scale, zero_point = result["quantization"]
    return (values - zero_point) * np.float32(scale) if scale else values


def _bracket(call: Callable[[], None]) -> None:
    _close(MARK)
    _close(MARK)
    call()
    _close(MARK)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
