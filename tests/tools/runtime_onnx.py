"""Runs in the environment of an onnxruntime: classifies images. JSON on stdin."""

import json
import sys

import numpy as np
import onnxruntime


def main() -> None:
    job = json.load(sys.stdin)
    session = onnxruntime.InferenceSession(job["model"], providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    images = np.load(job["images"]).astype(np.float32)
    np.save(job["answers"], np.concatenate([session.run(None, {entry.name: image[np.newaxis]})[0] for image in images]))


main()
