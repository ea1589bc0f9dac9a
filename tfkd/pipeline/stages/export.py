"""The exported files of the student, and the teachers' fp32 .tflite files to compare them with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError
from tfkd.formats import TIMED
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import BUNDLE, STUDENT_MODEL, teacher_file, teacher_file_name
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.rejections import choose_for_files
from tfkd.pipeline.sources import Sources, settings
from tfkd.pipeline.stages.checks import teacher_is_left_out
from tfkd.pipeline.stages.compress import COMPRESS, shipped_folder
from tfkd.pipeline.stages.on_validation import logits_of, promises_with_thresholds
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.teacher import kind_in, prepared
from tfkd.recipe import Export, Gates
from tfkd.teachers import KINDS, PreparedTeacher
from tfkd.verification import calibration, rejection, thresholds
from tfkd.verification.gates import TAUGHT
from tfkd.verification.records import OutputTemperature, Rejection, Threshold
from tfkd.writers import Card, Exported, ExportedFile
from tfkd.writers.records import MissingFile

BATCH = 64  # of validation examples


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        files: written files of the bundle, in the order of the recipe.
        missing: files of the recipe that cannot be written.
        teachers_not_exported: why a teacher's .tflite file could not be written, by the name of the file.
        thresholds: of the classes whose recall is promised, by class.
        temperature: by which the logits are divided; None without export.temperature.
        rejections: when the files give no label, by path; empty without export.reject.
    """

    files: tuple[ExportedFile, ...]
    missing: tuple[MissingFile, ...]
    teachers_not_exported: dict[str, str] = field(default_factory=dict)
    thresholds: dict[str, Threshold] = field(default_factory=dict)
    temperature: OutputTemperature | None = None
    rejections: dict[str, Rejection] = field(default_factory=dict)


def export_student(
    network: Path,
    files: Export,
    card: Card,
    calibration: Any,
    bundle: Path,
    say: Callable[[str], None],
    temperature: float = 1.0,
) -> Exported:
    """Writes the files of a trained student.

    Args:
        network: folder of the student, from a training or a compression.
        files: files to write.
        card: metadata of each file.
        calibration: raw training examples for the ranges of quantized files.
        bundle: folder for the files.
        say: prints a line for each file.
        temperature: divides the logits.

    Raises:
        RequestError: the student cannot be converted.
    """
    from tfkd.compress import QUANTIZED
    from tfkd.models.last_layer import divide_logits
    from tfkd.training.saving import load_model
    from tfkd.writers import export

    quantized = network / QUANTIZED
    student = load_model(network / STUDENT_MODEL)
    if temperature != 1:
        divide_logits(student, temperature)
    return export(student, files, card, calibration, bundle, say, quantized if quantized.is_dir() else None)


def export_teachers(
    teachers: list[PreparedTeacher],
    card: Card,
    calibration: Any,
    folder: Path,
    gates: Gates,
    say: Callable[[str], None],
) -> dict[str, str]:
    """Writes the fp32 .tflite file of each teacher that is a Keras network.

    Args:
        teachers: the finished teachers.
        card: metadata of each file.
        calibration: raw training examples.
        folder: folder for the files.
        gates: gates, which may need the files.
        say: prints a line for each file.

    Returns:
        Why the comparison has no file of a teacher, by its name.

    Raises:
        RequestError: a file cannot be written, and a gate needs it.
    """
    from tfkd.training import teacher
    from tfkd.writers import tflite

    reasons = {}
    for number, each in enumerate(teachers):
        kind, path = KINDS[each.kind], teacher_file(folder, number)
        if kind.timed_by:
            continue
        try:
            if kind.without_file:
                raise RequestError(kind.without_file)
            say(f"{path.name} (for comparison, not in the bundle)")
            model = teacher.load_teacher(each.file)
            tflite.write_tflite(model, "fp32", path, card, calibration)
        except RequestError as error:
            reasons[path.stem] = str(error)
            say(teacher_is_left_out(error, gates))
    return reasons


def bundle_files(context: RunContext) -> Path:
    """Returns the folder of the exported files of the bundle."""
    return context.folder_of(EXPORT) / BUNDLE


def teacher_files(context: RunContext) -> dict[str, Path]:
    """Returns the files of the teachers by their names in benchmarks; none if one is missing.

    They are .tflite files, or what the user gave where another library runs it.

    Several teachers form an ensemble, so that a part of them is not comparable.
    """
    if context.result(EXPORT).teachers_not_exported:
        return {}
    folder, teachers = context.folder_of(EXPORT), context.recipe.teachers
    return {
        teacher_file_name(number): (
            Path(teacher.model) if kind_in(context, number).timed_by else teacher_file(folder, number)
        )
        for number, teacher in enumerate(teachers)
    }


def compared_files(context: RunContext) -> dict[str, dict[str, Path]]:
    """Returns the benchmarked files of each row of the comparison, by their names in benchmarks."""
    teachers = teacher_files(context)
    rows = {TAUGHT: teachers} if teachers else {}
    for file in context.result(EXPORT).files:
        if file.format in TIMED:
            rows[f"student {file.precision}"] = {file.path: bundle_files(context) / file.path}
    return rows


def _inputs(sources: Sources, number: int) -> Inputs:
    from dataclasses import asdict

    from tfkd.writers import card_of

    card = asdict(card_of(sources.recipe_json, sources.data.classes, sources.data.fingerprint))
    del card["thresholds"], card["score_threshold"]  # they are chosen by this stage
    own = {**settings("export", sources.recipe_json["export"]), **settings("description", card)}
    if promised := promises_with_thresholds(sources.recipe, sources.data.classes):
        own |= {"gates.min_recall": promised, "version of the thresholds": thresholds.VERSION}
    if sources.recipe.export.reject:
        own["version of the rejection"] = rejection.VERSION
    if sources.recipe.export.temperature:
        own["version of the calibration"] = calibration.VERSION
    return Inputs(own, (COMPRESS.name if sources.recipe.compress else STUDENT.name,))


def temperature_of(context: RunContext) -> float:
    """Returns by what the logits of the exported student are divided; 1 without export.temperature."""
    found = context.result(EXPORT).temperature
    return found.value if found else 1.0


def _chosen(context: RunContext) -> tuple[OutputTemperature | None, dict[str, Threshold]]:
    """Chooses on the validation split, with the student in Keras, the temperature and then the promised thresholds."""
    data, recipe = context.shipped, context.recipe
    promised, labels = promises_with_thresholds(recipe, context.data.classes), data.validation.labels
    if not (promised or recipe.export.temperature) or not len(labels):
        return None, thresholds.without_images(promised)
    with context.progress.task("predictions for the thresholds", len(labels), "examples") as advance:
        logits = logits_of(context, shipped_folder(context), advance)
    from tfkd.distill.measures import softmax

    temperature = calibration.fitted(logits, labels) if recipe.export.temperature else None
    probabilities = softmax(logits / (temperature.value if temperature else 1.0))
    return temperature, thresholds.choose(labels, probabilities, promised, data.classes)


def _rejections(context: RunContext, files: list[ExportedFile], card: Card) -> dict[str, Rejection]:
    from tfkd.data.batches import plain_batches

    reject, data = context.recipe.export.reject, context.shipped
    if reject is None:
        return {}
    signature = data.reading.signature(context.recipe.data)
    batches = plain_batches(data.validation, signature, BATCH).map(lambda inputs, _: inputs)
    say, labels = context.progress.say, data.validation.labels
    return choose_for_files(
        bundle_files(context), files, reject, card, signature, batches, labels, lambda text: say(f"  {text}")
    )


def _work(context: RunContext, number: int) -> ExportResult:
    context.start_tensorflow()
    from tfkd.writers import samples

    recipe, folder = context.recipe, context.folder_of(EXPORT)
    data = context.shipped
    signature = data.reading.signature(recipe.data)
    examples = samples.calibration(data, signature, recipe.export.calibration_images, recipe.seed)

    def say(text: str) -> None:
        context.progress.say(f"  {text}")

    temperature, found = _chosen(context)
    if temperature:
        say(calibration.described(temperature))
    for name, threshold in found.items():
        say(thresholds.described(name, threshold))
    card, divisor = context.card.with_thresholds(thresholds.values_by_name(found)), temperature and temperature.value
    files = bundle_files(context)
    exported = export_student(shipped_folder(context), recipe.export, card, examples, files, say, divisor or 1.0)
    rejections = _rejections(context, exported.files, card)
    teachers = [prepared(context, each) for each in range(len(recipe.teachers))]
    reasons = export_teachers(teachers, context.card, examples, folder, recipe.gates, say)
    return ExportResult(tuple(exported.files), tuple(exported.missing), reasons, found, temperature, rejections)


def _cost(context: RunContext, number: int) -> str:
    export = context.recipe.export
    files = f"{len(export.tflite)} TFLite and {len(export.coreml)} Core ML files"
    if export.reject is None:
        return files
    return f"{files}, {len(context.data.validation):,} validation examples through every file"


EXPORT = StageKind(
    name="export",
    version=5,
    result=ExportResult,
    inputs=_inputs,
    work=_work,
    cost=_cost,
)
