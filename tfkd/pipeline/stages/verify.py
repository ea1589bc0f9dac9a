"""The verification: loads every exported file without its converter, and runs it on the test images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd.data import Split
from tfkd.errors import counted
from tfkd.files import content_digest
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import TEST_LOGITS, of_seed
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources
from tfkd.pipeline.stages.compress import shipped_folder
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.export import EXPORT, bundle_files, temperature_of
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.teacher import ensemble_logits
from tfkd.verification.flips import FlippedImage, flipped_images
from tfkd.verification.records import Artifact
from tfkd.verification.thresholds import values_by_name
from tfkd.writers import Card, ExportedFile

if TYPE_CHECKING:
    from tfkd.verification.artifacts import Reference

BATCH = 64


@dataclass(frozen=True)
class VerifyResult:
    """What was measured.

    Attributes:
        artifacts: the files, in the order of the recipe.
        flipped: negative flips of each file of which the teacher is most confident, by path; empty where the teacher
            was not measured.
    """

    artifacts: tuple[Artifact, ...]
    flipped: dict[str, tuple[FlippedImage, ...]] = field(default_factory=dict)


def measure_files(
    bundle: Path,
    files: Iterable[ExportedFile],
    reference: "Reference",
    card: Card,
    on_measured: Callable[[Artifact], None],
    on_predicted: Callable[[str, Any], None] = lambda path, probabilities: None,
) -> list[Artifact]:
    """Loads and runs exported files, one after another.

    Args:
        bundle: folder of the files.
        files: files to measure.
        reference: the images, with the expected predictions.
        card: expected metadata of the files.
        on_measured: called with each file as soon as it is measured.
        on_predicted: called with the path of each file that was run, and its probabilities, float32 [n, classes].

    Raises:
        VerifyError: a file failed a check.
    """
    from tfkd.verification.artifacts import measure

    artifacts = []
    for file in files:
        artifacts.append(measure(bundle, file, reference, card, on_predicted))
        on_measured(artifacts[-1])
    return artifacts


def line_of(artifact: Artifact) -> str:
    """Returns the result for a file in one line."""
    if artifact.not_verified:
        return f"{artifact.bytes:,} bytes, not verified here: {artifact.not_verified}"
    measured = "" if artifact.accuracy is None else f"accuracy {artifact.accuracy:.1%}, "
    text = f"{artifact.bytes:,} bytes, {measured}top-1 as Keras {artifact.top1_vs_keras:.1%}"
    if artifact.negative_flips is not None:
        text += f", {counted(artifact.negative_flips.test.lost, 'negative flip')}"
    if artifact.delegation is None:
        return text
    return f"{text}, {counted(artifact.delegation.partitions, 'XNNPACK partition')}"


def control_logits(context: RunContext) -> Any:
    """Returns the logits of the control with the seed of the exported network, float32 [n, classes].

    None without a control.
    """
    import numpy as np

    path = of_seed(context.folder_of(CONTROL), context.result(STUDENT).best.seed) / TEST_LOGITS
    return np.load(path, allow_pickle=False) if path.is_file() else None


def _inputs(sources: Sources, number: int) -> Inputs:
    pooled = sources.recipe.data.is_pooled
    own = sources.outside(sources.recipe.student.rendering)
    return Inputs(own, (EXPORT.name,) if pooled else (CONTROL.name, EXPORT.name))


def _work(context: RunContext, number: int) -> VerifyResult:
    context.start_tensorflow()
    import numpy as np

    from tfkd.data.batches import plain_batches
    from tfkd.distill.measures import softmax
    from tfkd.verification.artifacts import Reference

    data = context.shipped
    signature = data.reading.signature(context.recipe.data)
    logits = np.load(shipped_folder(context) / TEST_LOGITS, allow_pickle=False)
    taught = None if data.is_pooled else ensemble_logits(context)
    control = None if data.is_pooled else control_logits(context)
    teacher = None if taught is None else softmax(taught)
    exported = context.result(EXPORT)

    def inputs_of(split: Split) -> Any:
        return plain_batches(split, signature, BATCH).map(lambda inputs, _: inputs)

    reference = Reference(
        batches=inputs_of(data.test),
        labels=None if data.is_pooled else data.test.labels,
        keras=softmax(logits / temperature_of(context)).astype(np.float32),
        teacher=teacher,
        signature=signature,
        control_top1=None if control is None else control.argmax(axis=1),
        rejections=exported.rejections,
        outside=None if data.outside is None else inputs_of(data.outside),
    )

    def say(artifact: Artifact) -> None:
        context.progress.say(f"  {artifact.path}: {line_of(artifact)}")

    flipped = {}

    def keep(path: str, probabilities: Any) -> None:
        if teacher is not None:
            flipped[path] = flipped_images(data.test.labels, probabilities, teacher)
        _write_monitor_reference(context, path, probabilities, reference)

    card = context.card.with_thresholds(values_by_name(exported.thresholds))
    measured = measure_files(bundle_files(context), exported.files, reference, card, say, keep)
    return VerifyResult(tuple(measured), flipped)


def _write_monitor_reference(context: RunContext, path: str, probabilities: Any, reference: "Reference") -> None:
    """Writes what phones that run a file are compared with, into the folder of the stage.

    Args:
        context: of the run.
        path: of the file in the bundle.
        probabilities: its predictions for the test examples, float32 [n, classes].
        reference: what it was compared with.
    """
    import numpy as np

    from tfkd.bundle import monitoring
    from tfkd.data.batches import plain_batches
    from tfkd.verification import artifacts

    file, others = bundle_files(context) / path, context.shipped.unlabelled
    unlabelled = None
    if others is not None and len(others):
        drawn = np.random.default_rng(context.recipe.seed).permutation(len(others))[: monitoring.MOST_UNLABELLED]
        format = next(each.format for each in context.result(EXPORT).files if each.path == path)
        batches = plain_batches(others.take(np.sort(drawn)), reference.signature, BATCH)
        unlabelled = artifacts.predict(file, format, batches.map(lambda inputs, _: inputs))
    found = monitoring.reference(
        path,
        content_digest(file),
        probabilities,
        reference.labels,
        teacher=reference.teacher,
        unlabelled=unlabelled,
        seed=context.recipe.seed,
    )
    if found is not None:
        monitoring.write(context.folder_of(VERIFY), found)


VERIFY = StageKind(
    name="verify",
    version=12,
    result=VerifyResult,
    inputs=_inputs,
    work=_work,
    cost=lambda context, number: f"{len(context.data.test):,} test examples through every file",
    product="verification",
)
