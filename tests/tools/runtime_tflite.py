"""Runs in the environment of a TensorFlow Lite runtime: classifies images with its interpreter. JSON on stdin."""

import json
import sys

import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
except ImportError:
    from tflite_runtime.interpreter import Interpreter, OpResolverType


def main() -> None:
    job = json.load(sys.stdin)
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if job["own_kernels"] else OpResolverType.AUTO
    interpreter = Interpreter(job["model"], num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (entry,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = result["quantization"]
    answers = []
    for image in np.load(job["images"]):
        pixels = (image.astype(np.int16) - 128 * (entry["dtype"] == np.int8)).astype(entry["dtype"])
        interpreter.set_tensor(entry["index"], pixels[np.newaxis])
        interpreter.invoke()
        values = interpreter.get_tensor(result["index"])[0].astype(np.float32)
        answers.append((values - zero_point) * np.float32(scale) if scale else values)
    np.save(job["answers"], np.stack(answers))


main()
