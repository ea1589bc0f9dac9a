"""Generated photos, to measure decoding without a data set."""

from pathlib import Path

import numpy as np
from PIL import Image

_GRAIN = 8  # standard deviation of the brightness, of 255
_COARSE = (12, 10)  # squares of colour


def write_samples(folder: Path, count: int, width: int, height: int, seed: int) -> None:
    """Writes JPEGs of smooth colours with some grain, 0000.jpg and so on."""
    for number in range(count):
        random = np.random.default_rng([seed, number])
        coarse = Image.fromarray(random.integers(0, 256, (*_COARSE, 3), np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
        grained = smooth + random.normal(0, _GRAIN, (height, width, 1))
        Image.fromarray(grained.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04}.jpg", quality=90)
