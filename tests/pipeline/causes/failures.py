"""Made failures of students: photos of four classes, two tints of two directions of stripes, and toy networks."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfkd.recipe import Data, Distill, Recipe, SoftTargets, Student, Teacher, Training

CLASSES = ("blue columns", "blue rows", "red columns", "red rows")
PHOTOS = {"train": 24, "validation": 12, "test": 6}  # per class
WITH_STRIPES = 2  # width of a student that sees them


def build_student(
    k: Any,
    *,
    image_size: int,
    classes: int,
    width: float,
    activation: str,
    dropout: float,
    batch_norm_momentum: float,
) -> Any:
    """A student that sees mean colours only, and stripes too from width 2."""
    image = k.Input((image_size, image_size, 3))
    x = k.layers.Rescaling(1 / 32, offset=-2.5)(image)
    features = [k.layers.GlobalAveragePooling2D()(x)]
    if width >= WITH_STRIPES:
        x = k.layers.BatchNormalization(momentum=0.5)(k.layers.Conv2D(24, 5)(x))
        features.append(k.layers.GlobalAveragePooling2D()(k.layers.ReLU()(x)))
        features = [k.layers.Concatenate()(features)]
    return k.Model(image, k.layers.Dense(classes)(features[0]))


def fill(folder: Path) -> None:
    """Writes the photos, and what a teacher that knows all classes and one that memorised the training predict."""
    rng = np.random.default_rng(0)
    lines: dict[str, list[str]] = {"teacher.csv": [], "memorised.csv": []}
    for split, count in PHOTOS.items():
        for label, name in enumerate(CLASSES):
            (folder / "photos" / split / name).mkdir(parents=True)
            for number in range(count):
                file = f"{split}-{label}-{number}.png"
                Image.fromarray(_photo(label, rng)).save(folder / "photos" / split / name / file)
                lines["teacher.csv"].append(_row(file, label, 1.5))
                wrong = split != "train" and number % 2 == 0
                lines["memorised.csv"].append(_row(file, (label + 2) % 4 if wrong else label, 30.0))
    for name, rows in lines.items():
        (folder / name).write_text("\n".join([",".join(("name", *CLASSES)), *rows]))


def _photo(label: int, rng: np.random.Generator) -> np.ndarray:
    pixels = rng.integers(40, 100, (40, 40, 3))
    pixels[..., 2 if label < 2 else 0] += 50
    stripes = 60 * (np.arange(40) // 3 % 2)
    pixels += stripes[None, :, None] if label % 2 == 0 else stripes[:, None, None]
    return pixels.astype(np.uint8)


def _row(file: str, label: int, logit: float) -> str:
    return ",".join((file, *(f"{logit if place == label else -logit:g}" for place in range(len(CLASSES)))))


def recipe_in(folder: Path, name: str, predictions: str = "teacher.csv", epochs: int = 16) -> Recipe:
    """Returns the recipe of a student of the photos in a folder."""
    return Recipe(
        name=name,
        data=Data(source=f"folder:{folder / 'photos'}", image_size=32),
        teachers=[Teacher(predictions=str(folder / predictions))],
        student=Student(model="tests.pipeline.causes.failures:build_student", weights="none"),
        distill=Distill(
            losses=[SoftTargets(temperature=1.0)],
            targets="image",
            views=1,
            control=False,
            training=Training(epochs=epochs, batch_size=16, learning_rate=0.05, weight_decay=0.0),
        ),
    )
