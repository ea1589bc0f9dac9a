"""Makes the embedded data set from Debian's dataset-fashion-mnist: python tools/make_fashion_mnist_mini.py [FOLDER]

Takes 600 training and 100 test images of every class, drawn with a fixed seed, and stores them in TFDS format
(ArrayRecord, PNG) inside the package, together with the licence notice.
"""

import argparse
import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

NAME, VERSION, SEED = "fashion_mnist_mini", "1.0.0", 20200523
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
PARTS = {"train": ("train", 600), "test": ("t10k", 100)}
EMBEDDED = Path(__file__).resolve().parents[1] / "tfkd" / "data" / "embedded"
NOTICE = """Fashion-MNIST
Copyright (c) 2017 Zalando SE, https://tech.zalando.com
https://github.com/zalandoresearch/fashion-mnist

fashion_mnist_mini is a subset of it: 600 training and 100 test images of every class, re-encoded as PNG.

The MIT License (MIT)

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def read_idx(path: Path) -> np.ndarray:
    """Reads a gzipped IDX file of bytes (the format is described at http://yann.lecun.com/exdb/mnist)."""
    content = gzip.decompress(path.read_bytes())
    dimensions = content[3]
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def subset(labels: np.ndarray, each: int) -> np.ndarray:
    """Returns the positions of `each` images of every class, in the order of the file."""
    rng = np.random.default_rng(SEED)
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:each] for k in range(len(CLASSES))]))


def examples(folder: Path, prefix: str, each: int) -> list[tuple[int, dict[str, object]]]:
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    return [(int(i), {"image": images[i][..., None], "label": int(labels[i])}) for i in subset(labels, each)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    folder = parser.parse_args().folder
    tfds.dataset_builders.store_as_tfds_dataset(
        name=NAME,
        version=VERSION,
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(28, 28, 1), encoding_format="png"),
                "label": tfds.features.ClassLabel(names=CLASSES),
            }
        ),
        split_datasets={split: examples(folder, *part) for split, part in PARTS.items()},
        data_dir=EMBEDDED,
        description="600 training and 100 test images of every class of Fashion-MNIST.",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        file_format="array_record",
        disable_shuffling=True,
    )
    shutil.rmtree(EMBEDDED / "downloads", ignore_errors=True)  # an empty folder that TFDS leaves
    (EMBEDDED / NAME / "LICENSE").write_text(NOTICE, encoding="utf-8")


if __name__ == "__main__":
    main()
