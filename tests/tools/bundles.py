"""Bundles whose files contain no networks, for tests that read manifests, hashes and golden predictions."""

from pathlib import Path

import numpy as np

from tfkd.bundle.golden import Golden
from tfkd.bundle.manifest import DataEntry, Manifest, StudentEntry
from tfkd.bundle.writing import assemble
from tfkd.files import content_digest, content_size
from tfkd.inputs.text import KIND
from tfkd.inputs.text.tensors import signature
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.verification.records import Artifact, InputOutput, Tensor

CLASSES = ["owl", "Öre", "cat"]
SIZE = 4
IMAGES = 3
WORDS = ["owl", "cat", "owl cat"]
TEXT = signature(SIZE, (*SPECIAL, *WORDS[:2]))
ACCELERATED = ("litert_gpu", "coreml_fp16")
PRECISION = {"mlmodel": "fp32", "mlpackage": "fp16"}


def write_bundle(folder: Path, *paths: str, accelerated: bool = False, texts: bool = False) -> dict[str, str]:
    """Writes a bundle with golden predictions, and returns its files' hashes.

    Args:
        folder: of the bundle.
        paths: `android/a_fp32.tflite`, `ios/a.mlmodel` and so on; an .mlpackage becomes a folder.
        accelerated: with predictions in the reverse order of the classes for LiteRT's GPU and Core ML in float16.
        texts: of texts in place of images.
    """
    draw = np.random.default_rng(5)
    for path in paths:
        file = folder / path
        (file if file.suffix == ".mlpackage" else file.parent).mkdir(parents=True, exist_ok=True)
        for part in ("Manifest.json", "Data/weights.bin", "Data.txt") if file.is_dir() else (".",):
            (file / part).parent.mkdir(parents=True, exist_ok=True)
            (file / part).write_bytes(draw.bytes(int(draw.integers(1, 300))))
    artifacts = [_artifact(folder, path, texts) for path in paths]
    answers = {path: draw.dirichlet(np.ones(len(CLASSES)), IMAGES).astype(np.float32) for path in paths}
    others = {family: {path: answers[path][:, ::-1] for path in paths} for family in ACCELERATED}
    images = draw.integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8)
    ids = KIND.from_memory(WORDS[:IMAGES], TEXT)
    assemble(
        folder,
        _manifest(artifacts, texts),
        Golden(ids if texts else images, np.zeros(IMAGES, np.int64), answers, others if accelerated else {}),
    )
    return {artifact.path: artifact.sha256 for artifact in artifacts}


def _artifact(folder: Path, path: str, texts: bool) -> Artifact:
    file = folder / path
    format = file.suffix[1:]
    precision = PRECISION.get(format) or file.stem.rpartition("_")[2]
    dtype, scale = ("uint8", 1 / 128) if precision == "int8" else ("float32", None)
    image = Tensor(name="image", shape=[1, SIZE, SIZE, 3], dtype=dtype, scale=scale, zero_point=128 if scale else None)
    ids = Tensor(name="ids", shape=[1, SIZE], dtype="int32")
    return Artifact(
        path=path,
        format=format,
        precision=precision,
        bytes=content_size(file),
        sha256=content_digest(file),
        io=InputOutput(
            input=ids if texts else image, output=Tensor(name="probabilities", shape=[1, len(CLASSES)], dtype=dtype)
        ),
    )


def _manifest(artifacts: list[Artifact], texts: bool) -> Manifest:
    return Manifest(
        name="tiny",
        tfkd_version="0",
        created="2026-01-01T00:00:00Z",
        recipe={},
        environment={},
        seed=1,
        data=DataEntry(source="embedded:x", fingerprint="0", classes=CLASSES, splits={"test": IMAGES}),
        teachers=[],
        student=StudentEntry(
            model="x",
            parameters=1,
            **({"image_size": None, "signature": TEXT} if texts else {"image_size": SIZE}),
            accuracy=1,
            control_accuracy=None,
            accuracies=[],
            control_accuracies=[],
            seeds=[],
            exported_seed=1,
            agreement_with_teacher=1,
            seconds_training=0,
            teacher_seconds=0,
        ),
        artifacts=artifacts,
        comparison=[],
        bench=[],
        gates=[],
    )
