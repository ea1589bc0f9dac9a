"""Runs in MediaPipe's environment: classifies images with MediaPipe Tasks. JSON in on stdin.

Two jobs: `models` and `images` are files, and the answer on stdout is JSON; or `model` is a file, `images` a .npy of
uint8 [n, S, S, 3], and float32 [n, classes], in the order of the classes, is written to `answers`.
"""

import json
import sys
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def main() -> None:
    job = json.load(sys.stdin)
    if "models" in job:
        pictures = [mediapipe.Image.create_from_file(path) for path in job["images"]]
        found = {Path(path).name: categories(path, pictures) for path in job["models"]}
        named = {
            name: [[(each.category_name, each.score) for each in scores] for scores in answers]
            for name, answers in found.items()
        }
        json.dump(named, sys.stdout)
        return
    pixels = np.load(job["images"])
    pictures = [mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(x)) for x in pixels]
    answers = [sorted(scores, key=lambda each: each.index) for scores in categories(job["model"], pictures)]
    np.save(job["answers"], np.array([[each.score for each in scores] for scores in answers], np.float32))


def categories(path, pictures):
    """Returns a list of categories for every picture, the most probable first."""
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=path))
    with vision.ImageClassifier.create_from_options(options) as classifier:
        return [classifier.classify(picture).classifications[0].categories for picture in pictures]


main()
