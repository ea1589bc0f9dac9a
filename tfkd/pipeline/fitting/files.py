"""The files of a fit: of each candidate untrained, and of trained networks, in the form that ships."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.files import fingerprint
from tfkd.pipeline.contents import files_of
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.fitting.candidates import Candidate
from tfkd.pipeline.folders import FIT
from tfkd.pipeline.stage import Stage
from tfkd.pipeline.stages.export import EXPORT, export_student
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.teacher import TEACHER, prepared
from tfkd.recipe import Export
from tfkd.teachers import kind_of
from tfkd.writers import Card

FILE = "model.tflite"
TEACHER_ITSELF = "teacher"
_EXAMPLES = 4  # random ones that set the ranges of an untrained network
_BYTE = 255
_VARIATION = 0.1  # of weights that are equal in an untrained network


@dataclass(frozen=True)
class Untrained:
    """The file of an untrained network.

    Attributes:
        name: name of the candidate, or TEACHER_ITSELF.
        path: of the file.
        candidate: None for the teacher itself.
        multiply_adds: per image; 0 where a layer's cost is unknown.
    """

    name: str
    path: Path
    candidate: Candidate | None
    multiply_adds: int


def untrained_files(context: RunContext, candidates: list[Candidate]) -> list[Untrained]:
    """Builds and exports every candidate and the teacher, untrained; what cannot be built is reported and left out.

    Raises:
        RequestError: no candidate can be built or exported.
    """
    found, reasons = [], []
    for name, candidate, stage, build in _untrained(context, candidates):
        try:
            record = _made(context, stage, build)
        except RequestError as error:
            context.progress.say(f"{name}: left out. {error}")
            reasons += [error] if candidate else []
            continue
        found.append(Untrained(name, stage.folder / FILE, candidate, record["multiply_adds"]))
    if not any(each.candidate for each in found):
        raise RequestError(f"No candidate can be built: {reasons[0]}") from reasons[0]
    return found


def number_layers_from_the_start(context: RunContext) -> None:
    """Lets Keras number the names of layers from the start, so that files do not depend on what was built before."""
    if "keras" in sys.modules:
        import keras

        context.start_tensorflow()
        keras.utils.clear_session()


def random_examples(context: RunContext, model: Any, count: int) -> np.ndarray:
    """Returns raw random examples that a network takes."""
    taken = context.data.kind.signature_of(model).single
    assert taken.range is not None
    low, high = map(int, taken.range)
    shape, dtype = tuple(model.inputs[0].shape)[1:], np.int32 if high > _BYTE else np.uint8
    return np.random.default_rng(0).integers(low, high + 1, (count, *shape), dtype)


def write_trained(context: RunContext, form: str, network: Path, path: Path) -> None:
    """Writes the file that ships of a trained student.

    Args:
        context: of the student's recipe.
        form: of the file, as in `export.tflite`.
        network: folder of the training or compression.
        path: of the file.
    """
    from tfkd.writers import exported_file, samples

    recipe, data = context.recipe, context.shipped
    files = recipe.export.model_copy(update={"tflite": [form], "coreml": [], "onnx": False, "require": []})
    examples = samples.calibration(
        data, data.reading.signature(recipe.data), recipe.export.calibration_images, recipe.seed
    )
    folder = path.parent / "exported"
    export_student(network, files, context.card, examples, folder, lambda text: None)
    (folder / exported_file(form, context.card.name).path).replace(path)


def write_teacher(context: RunContext, form: str, path: Path) -> None:
    """Writes the file of the trained teacher in a form of `export.tflite`."""
    from tfkd.training import teacher
    from tfkd.writers import samples

    export, data = context.recipe.export, context.data_for(context.recipe.teachers[0].rendering)
    model = teacher.load_teacher(prepared(context, 0).file)
    signature = data.kind.signature_of(model)
    examples = samples.calibration(data, signature, export.calibration_images, context.recipe.seed)
    _write(model, export, form, path, context.card, examples)


def _ships(context: RunContext) -> str:
    assert context.recipe.fit is not None
    return context.recipe.fit.ships


def _untrained(
    context: RunContext, candidates: list[Candidate]
) -> Iterator[tuple[str, Candidate | None, Stage, Callable[[], Any]]]:
    """Yields the name, the stage and the function that builds the network of each candidate and of the teacher."""
    recipe, classes = context.recipe, context.data.classes
    for candidate in candidates:
        digests = files_of(candidate.student)
        stage = _stage(context, candidate.name, candidate.student.model, [_described(candidate), digests])
        yield candidate.name, candidate, stage, partial(candidate.untrained, context)
    if len(recipe.teachers) == 1 and _is_network(context):
        teacher = recipe.teachers[0]
        stage = _stage(context, TEACHER_ITSELF, teacher.model, [teacher.model_dump(mode="json"), files_of(teacher)])

        def build() -> Any:
            from tfkd.models import TEACHERS, build_teacher

            named = teacher.model in TEACHERS
            plain = teacher.model_copy(update={"weights": "none"}) if named else teacher
            return build_teacher(plain, len(classes), recipe.seed, classes)

        yield TEACHER_ITSELF, None, stage, build


def _is_network(context: RunContext) -> bool:
    """Returns whether the teacher is a Keras network; a function must be called for it."""
    teacher = context.recipe.teachers[0]
    if ":" in teacher.model:
        context.start_tensorflow()
    return kind_of(teacher, len(context.data.classes)).is_network


def _described(candidate: Candidate) -> dict[str, Any]:
    """Returns a candidate as JSON, without initial weights on which its untrained file does not depend."""
    without = set() if candidate.student.starts_from_bert else {"weights"}
    return {"student": candidate.student.model_dump(mode="json", exclude=without), "size": candidate.input_size}


def _stage(context: RunContext, name: str, model: str, inputs: list[Any]) -> Stage:
    export = context.recipe.export
    settings = [export.ranges, export.float_layers, export.int8_io, _ships(context), list(context.data.classes)]
    texts = [export.author, export.license, export.version, export.description, context.recipe.name]
    own = fingerprint(name, EXPORT.version, STUDENT.version, TEACHER.version, settings, texts, inputs)
    place, named = context.folder.fit / "candidates" / own, f"{FIT}: {name}"
    return Stage(place, own, {"model": model, "settings": inputs}, name=named)


def _made(context: RunContext, stage: Stage, build: Callable[[], Any]) -> dict[str, Any]:
    """Returns the record of an untrained file, after writing the file if necessary."""
    stage.mend(context.progress.say)
    if (done := stage.result()) is not None:
        return done
    context.start_tensorflow()
    from tfkd.models import is_own
    from tfkd.writers.tflite import check_convertible

    stage.begin(context.progress.say)
    number_layers_from_the_start(context)
    model = build()
    _vary(model, context.recipe.seed)
    examples = random_examples(context, model, _EXAMPLES)
    card = replace(context.card, origin={})
    if is_own(name := stage.inputs["model"]):
        check_convertible(model, card, name)
    _write(model, context.recipe.export, _ships(context), stage.folder / FILE, card, examples)
    stage.finish({"multiply_adds": _multiply_adds(model)})
    return stage.result() or {}


def _write(model: Any, export: Export, form: str, path: Path, card: Card, examples: np.ndarray) -> None:
    from tfkd.writers import tflite

    tflite.write_tflite(
        model,
        form,
        path,
        card,
        examples,
        ranges=export.ranges,
        float_layers=export.float_layers,
        io=export.int8_io,
    )


def _vary(model: Any, seed: int) -> None:
    """Varies weights that are all equal, such as zero biases, of which a file would hold one copy for all layers."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        value = np.asarray(variable)
        if value.size > 1 and np.issubdtype(value.dtype, np.floating) and not np.ptp(value):
            variable.assign(value + _VARIATION * rng.random(value.shape, np.float32))


def _multiply_adds(model: Any) -> int:
    from tfkd.models.cost import multiply_adds

    try:
        return multiply_adds(model)
    except RequestError:
        return 0
