"""Two real files, small enough to convert in a few seconds, and a bundle around them."""

import hashlib
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.bundle.manifests import tiny_manifest
from tfkd.bundle import results
from tfkd.bundle.golden import Golden
from tfkd.bundle.seal import seal
from tfkd.bundle.writing import assemble
from tfkd.files import content_digest
from tfkd.verification.records import Artifact, InputOutput, Tensor

CLASSES = ["cat", "dog", "owl", "cow"]
SIZE = 32


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A heavy file with float input and a light one with uint8 input."""
    import tensorflow as tf

    class Convolution(tf.Module):
        def __init__(self, channels, kernel):
            self.kernel = tf.constant(
                np.random.default_rng(1).normal(0, 0.01, (kernel, kernel, 3, channels)), tf.float32
            )

        @tf.function
        def classify(self, image):
            features = tf.nn.conv2d(tf.cast(image, tf.float32), self.kernel, 1, "SAME")
            return tf.nn.softmax(tf.reduce_mean(tf.nn.relu(features), [1, 2])[:, : len(CLASSES)])

    folder = tmp_path_factory.mktemp("tflite")
    written = {}
    for name, channels, kernel, dtype in (("heavy", 64, 9, tf.float32), ("light", 4, 3, tf.uint8)):
        model = Convolution(channels, kernel)
        saved = folder / name
        classify = model.classify.get_concrete_function(tf.TensorSpec((1, SIZE, SIZE, 3), dtype))
        tf.saved_model.save(model, str(saved), signatures=classify)
        written[name] = folder / f"{name}.tflite"
        written[name].write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert())
    return written


@pytest.fixture
def shipped(files: dict[str, Path], tmp_path: Path) -> Path:
    """A bundle of both files, with three golden images and their predictions."""
    from tfkd.verification import tflite

    folder = tmp_path / "tiny"
    (folder / "android").mkdir(parents=True)
    images = np.random.default_rng(3).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    artifacts, expected = [], {}
    for name, path in files.items():
        inside = f"android/{name}.tflite"
        (folder / inside).write_bytes(path.read_bytes())
        expected[inside] = tflite.predict(folder / inside, [images])
        artifacts.append(_artifact(folder, inside))
    assemble(folder, tiny_manifest(CLASSES, artifacts), Golden(images, np.zeros(3, np.int64), expected))
    seal(folder)
    return folder


def result(samples=(1.0, 1.1, 1.2), **changes):
    """A result with these samples, milliseconds."""
    from tfkd.benchmark import statistics

    fields = {
        "target": "host",
        "device": results.Device(soc="Fast 9", os="Linux", abi="x86_64"),
        "runtime": results.Runtime(name="LiteRT", version="2.3.0"),
        "artifact": results.File(path="android/a_int8.tflite", sha256=hashlib.sha256(b"a").hexdigest()),
        "threads": 1,
        "runs": len(samples),
        "samples_ms": list(samples),
        "latency_ms": statistics.summary(samples),
        "emulated": False,
        "rung": "x86",
    }
    return results.Result(**{**fields, **changes})


def counted(total: int, **changes):
    """A result that counts instructions alone."""
    fields = {"samples_ms": [], "latency_ms": None, "runs": 1, "emulated": True, "rung": "arm64 emulated"}
    return result(**{**fields, "target": "arm64", "instructions": {"load": total // 4, "total": total}, **changes})


def _artifact(folder: Path, inside: str) -> Artifact:
    image = Tensor(name="image", shape=[1, SIZE, SIZE, 3], dtype="float32")
    probabilities = Tensor(name="probabilities", shape=[1, len(CLASSES)], dtype="float32")
    return Artifact(
        path=inside,
        format="tflite",
        precision="fp32",
        bytes=(folder / inside).stat().st_size,
        sha256=content_digest(folder / inside),
        io=InputOutput(input=image, output=probabilities),
    )


def ended(pid: int) -> bool:
    """Tells whether a process ends soon, or has ended."""
    for _ in range(100):
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if state.stdout.strip()[:1] in ("", "Z"):
            return True
        time.sleep(0.05)
    return False
