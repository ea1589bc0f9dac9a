"""Runs in MediaPipe's environment: classifies images with MediaPipe Tasks. JSON in on stdin, JSON out on stdout."""

import json
import sys
from pathlib import Path

import mediapipe
from mediapipe.tasks.python import BaseOptions, vision


def main() -> None:
    asked = json.load(sys.stdin)
    images = [mediapipe.Image.create_from_file(path) for path in asked["images"]]
    answers = {}
    for path in asked["models"]:
        options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=path))
        with vision.ImageClassifier.create_from_options(options) as classifier:
            found = [classifier.classify(image).classifications for image in images]
        answers[Path(path).name] = [
            [(category.category_name, category.score) for category in heads[0].categories] for heads in found
        ]
    json.dump(answers, sys.stdout)


main()
