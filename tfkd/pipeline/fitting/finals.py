"""The final runs of a fit: the whole recipe with control and seeds, and the trained file that ships, measured again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.benchmark.budget import TargetFigures
from tfkd.data import Dataset
from tfkd.files import fingerprint
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.fitting.candidates import Candidate
from tfkd.pipeline.fitting.files import FILE, TEACHER_ITSELF, Untrained, write_teacher, write_trained
from tfkd.pipeline.fitting.measuring import Measurements
from tfkd.pipeline.folders import FIT
from tfkd.pipeline.graph import stages_of
from tfkd.pipeline.run import run_stages
from tfkd.pipeline.stage import Stage
from tfkd.pipeline.stages.compress import COMPRESS, shipped_folder
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.export import EXPORT
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.teacher import TEACHER, measured_accuracy, prepared
from tfkd.recipe import Fit, Recipe
from tfkd.signature import Signature

BATCH = 64
_LEAST = 1e-6  # accuracy of a teacher, as a divisor


@dataclass(frozen=True)
class Final:
    """The file that ships of a trained network.

    Attributes:
        name: name of the candidate, or TEACHER_ITSELF.
        path: of the file.
        measured: on the target.
        epochs: of the training.
        validation_accuracy: of the file, 0 to 1.
        accuracy: of the file on the test split.
        relative: that accuracy / the accuracy of the teachers.
        control_accuracy: of the control, a Keras model, on the test split; None without one.
    """

    name: str
    path: Path
    measured: TargetFigures
    epochs: int
    validation_accuracy: float
    accuracy: float
    relative: float
    control_accuracy: float | None = None


def recipe_of(candidate: Candidate, recipe: Recipe, settings: Fit) -> Recipe:
    """Returns the recipe of a final run, which writes the file that ships and is judged by the fit's accuracy."""
    gates = recipe.gates.model_copy(update={"min_relative_accuracy": settings.min_relative_accuracy})
    forms = recipe.export.tflite
    written = forms if settings.ships in forms else [*forms, settings.ships]
    export = recipe.export.model_copy(update={"tflite": written})
    return candidate.recipe(recipe).model_copy(update={"gates": gates, "export": export})


def final_run(context: RunContext, settings: Fit, file: Untrained, measurements: Measurements) -> Final:
    """Trains a candidate by the whole recipe, and measures its file.

    Raises:
        RequestError, GateError, MachineError: as the stages and the target.
    """
    assert file.candidate is not None
    context.progress.say(f"final run: {file.name}")
    own = context_of(context, settings, file.candidate)
    run_stages(own, COMPRESS.name, own.folder.path)
    stage = _stage_of_student(own, settings)

    def write(path: Path) -> None:
        write_trained(own, settings.ships, shipped_folder(own), path)

    def describe(path: Path) -> dict[str, Any]:
        control = own.result(CONTROL).of(own.result(STUDENT).best.seed)
        facts = {"epochs": own.result(STUDENT).best.epochs, "control_accuracy": control and control.accuracy}
        return facts | _accuracies(path, own.shipped, own.shipped.reading.signature(own.recipe.data))

    record = _made(own, stage, write, describe)
    return _final(own, file.name, stage, record, measurements)


def teacher_itself(context: RunContext, settings: Fit, measurements: Measurements) -> Final:
    """Quantizes the trained teacher, and measures its file."""
    own = fingerprint(context.stages[TEACHER.name].fingerprint, *_export_inputs(context, settings))
    stage = _stage(context, TEACHER_ITSELF, own)

    def write(path: Path) -> None:
        write_teacher(context, settings.ships, path)

    def describe(path: Path) -> dict[str, Any]:
        from tfkd.training import teacher

        data = context.data_for(context.recipe.teachers[0].rendering)
        model = teacher.load_teacher(prepared(context, 0).file)
        return {"epochs": 0, "control_accuracy": None} | _accuracies(path, data, data.kind.signature_of(model))

    record = _made(context, stage, write, describe)
    return _final(context, TEACHER_ITSELF, stage, record, measurements)


def relative_on_validation(context: RunContext, final: Final) -> float:
    """Returns the validation accuracy of the teacher's file / that of the teacher: it decides, the test confirms."""
    known = context.result(TEACHER).validation_accuracy
    return final.validation_accuracy / max(known or 0.0, _LEAST)


def known_final(context: RunContext, settings: Fit, file: Untrained, measurements: Measurements) -> Final | None:
    """Returns the final of a candidate that an earlier fit trained, or None; trains and measures nothing."""
    assert file.candidate is not None
    own = context_of(context, settings, file.candidate)
    trained = COMPRESS if own.recipe.compress else STUDENT
    if any(own.stages[name].result() is None for name in {STUDENT.name, trained.name}):
        return None
    stage = _stage_of_student(own, settings)
    record = stage.result()
    if record is None or measurements.missing({file.name: stage.folder / FILE}):
        return None
    return _final(own, file.name, stage, record, measurements)


def context_of(context: RunContext, settings: Fit, candidate: Candidate) -> RunContext:
    """Returns the context of a candidate's final run in the same folder."""
    recipe = recipe_of(candidate, context.recipe, settings)
    stages = stages_of(recipe, context.data, context.folder.path)
    return RunContext(recipe, context.data, context.folder, stages, context.progress, context.executor, command="fit")


def _made(
    context: RunContext,
    stage: Stage,
    write: Callable[[Path], None],
    describe: Callable[[Path], dict[str, Any]],
) -> dict[str, Any]:
    """Returns the record of a trained network's file, after writing the file if necessary."""
    stage.mend(context.progress.say, thorough=True)
    if (done := stage.result()) is not None:
        return done
    context.start_tensorflow()
    stage.begin(context.progress.say)
    path = stage.folder / FILE
    write(path)
    stage.finish(describe(path))
    return stage.result() or {}


def _accuracies(path: Path, data: Dataset, signature: Signature) -> dict[str, float]:
    """Returns the accuracies of a file on the validation and on the test split."""
    import numpy as np

    from tfkd.data.batches import plain_batches
    from tfkd.verification import tflite

    found = {}
    for name, split in (("validation_accuracy", data.validation), ("accuracy", data.test)):
        batches = plain_batches(split, signature, BATCH).map(lambda inputs, _: inputs)
        found[name] = float(np.mean(tflite.predict(path, batches).argmax(axis=1) == split.labels))
    return found


def _final(context: RunContext, name: str, stage: Stage, record: dict[str, Any], measurements: Measurements) -> Final:
    path = stage.folder / FILE
    return Final(
        name=name,
        path=path,
        measured=measurements.measure({name: path})[name],
        epochs=record["epochs"],
        validation_accuracy=record["validation_accuracy"],
        accuracy=record["accuracy"],
        relative=record["accuracy"] / max(measured_accuracy(context), _LEAST),
        control_accuracy=record["control_accuracy"],
    )


def _stage_of_student(context: RunContext, settings: Fit) -> Stage:
    trained = context.stages[(COMPRESS if context.recipe.compress else STUDENT).name].fingerprint
    seed = context.result(STUDENT).best.seed
    return _stage(context, "student", fingerprint(trained, seed, *_export_inputs(context, settings)))


def _export_inputs(context: RunContext, settings: Fit) -> list[Any]:
    return [EXPORT.version, settings.ships, context.recipe.export.model_dump(mode="json")]


def _stage(context: RunContext, name: str, own: str) -> Stage:
    return Stage(context.folder.fit / "final" / own, own, {}, name=f"{FIT}: {name}")
