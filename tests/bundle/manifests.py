"""The manifest of a tiny bundle, and of one of texts or of rows."""

from collections.abc import Sequence

from tfkd.bundle.manifest import DataEntry, Manifest, StudentEntry
from tfkd.inputs.table.tensors import signature as signature_of_row
from tfkd.inputs.text.tensors import signature
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.signature import Column
from tfkd.verification.records import Artifact


def tiny_manifest(classes: list[str], artifacts: Sequence[Artifact] = ()) -> Manifest:
    """Returns a manifest of one student for images of 32 pixels, which never had a control."""
    student = StudentEntry(
        model="tiny",
        parameters=1,
        image_size=32,
        accuracy=1.0,
        control_accuracy=None,
        accuracies=[1.0],
        control_accuracies=[],
        seeds=[1],
        exported_seed=1,
        agreement_with_teacher=1.0,
        seconds_training=1.0,
        teacher_seconds=1.0,
    )
    return Manifest(
        name="tiny",
        tfkd_version="0",
        created="2026-01-01T00:00:00Z",
        recipe={},
        environment={},
        seed=1,
        data=DataEntry(source="embedded:x", fingerprint="0", classes=classes, splits={"test": 3}),
        teachers=[],
        student=student,
        artifacts=list(artifacts),
        comparison=[],
        bench=[],
        gates=[],
    )


def of_texts(manifest: Manifest) -> Manifest:
    """Changes the manifest of a bundle of images to one of texts."""
    changed = {"image_size": None, "signature": signature(20, (*SPECIAL, "a"))}
    return manifest.model_copy(update={"student": manifest.student.model_copy(update=changed)})


def of_table(manifest: Manifest, texts: Sequence[str] = ("cat", "b")) -> Manifest:
    """Changes the manifest of a bundle of images to one of rows, with a column of numbers and one of these texts."""
    columns = (Column("age"), Column(texts[0], tuple(texts)))
    changed = {"image_size": None, "signature": signature_of_row(columns)}
    return manifest.model_copy(update={"student": manifest.student.model_copy(update=changed)})
