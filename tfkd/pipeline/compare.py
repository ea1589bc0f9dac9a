"""Compares ways to shrink a classifier: creates and measures variants of one run.

The variants, in addition to the files of the run: the teacher quantized, pruned, and both; the control; and the student
pruned, clustered and trained with int8 rounding, each with the recipe's block of that kind or the block's defaults. Of
texts the teacher with int8 weights, and the control.
Every variant has its own folder, so that an interrupted comparison can continue.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tfkd.bundle import assembly
from tfkd.bundle.manifest import ComparisonRow, Manifest, latency, peak_memory
from tfkd.bundle.publishing import require_writable
from tfkd.bundle.results import BenchEntry
from tfkd.compress.job import CompressJob
from tfkd.data import Dataset
from tfkd.errors import RequestError
from tfkd.files import fingerprint, write_json
from tfkd.inputs.image.tensors import signature
from tfkd.pipeline import pages
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.executor import Executor
from tfkd.pipeline.fold_runs import require_no_folds
from tfkd.pipeline.folders import STUDENT_MODEL, RunFolder, of_seed
from tfkd.pipeline.graph import ORDER as STAGE_ORDER
from tfkd.pipeline.run import Outcome, open_run, run_stages
from tfkd.pipeline.stage import Stage, conditions, locked
from tfkd.pipeline.stages.bench import measure_rows
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.export import compared_files
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.student import STUDENT, best_folder
from tfkd.pipeline.stages.teacher import TEACHER, ensemble_accuracy, ensemble_agreement, kind_in, prepared
from tfkd.pipeline.stages.trainings import job_in_run, lesson_of, stores_behind
from tfkd.pipeline.uses_of_test import note_recipe
from tfkd.progress import Progress
from tfkd.recipe import AnyCompression, Cluster, Prune, QuantizationAware, Recipe, Training
from tfkd.recipe.compress import WHY_NOT_OF_TEXTS
from tfkd.recipe.networks import chain
from tfkd.signature import Signature

CODE = 1  # increase it when the code of a variant gives other files
FILE = "model.tflite"
ORDER = ("teacher", "control", "student")

# One epoch: a teacher is many times as expensive as a student, and starts from trained weights.
TEACHER_PRUNING = Prune(training=Training(epochs=1, batch_size=32, learning_rate=1e-4, warmup_epochs=0.1))


@dataclass(frozen=True)
class Variant:
    """One file to compare.

    Attributes:
        name: name in the table.
        inputs: what the file depends on, in addition to the code.
        signature: what it takes.
        data: the images in its rendering.
        make: writes the file and returns the seconds of the trainings behind it.
    """

    name: str
    inputs: tuple[Any, ...]
    signature: Signature
    data: Dataset
    make: Callable[[Path], float]


def compare(
    recipe: Recipe,
    progress: Progress,
    runs: Path = Path("runs"),
    bundles: Path = Path("exported_models"),
    executor: Executor | None = None,
) -> tuple[Manifest, Path]:
    """Runs a recipe, creates the variants of its teacher and student, and measures all of them.

    Writes `compare/report.html` and `compare/comparison.json` to the run's folder.

    Args:
        recipe: the recipe; of several teachers the first is compared.
        progress: shows progress.
        runs: the folder of the runs' folders.
        bundles: the folder of the bundles.
        executor: trains, compresses and fills the stores; default: this machine.

    Returns:
        The run's manifest with all rows in its comparison, and the report's path.

    Raises:
        RequestError: the recipe cannot be run, or a network has a layer that cannot be compressed.
    """
    require_no_folds(recipe, "compare")
    folder = RunFolder(runs / recipe.name)
    require_writable(bundles / recipe.name)
    with locked(folder.path):
        context = open_run(recipe, folder, progress, executor, keep=True)
        outcome = run_stages(context, STAGE_ORDER[-1], bundles / recipe.name)
        note_recipe(context.folder, context.data, context.recipe, "compare")
        context.start_tensorflow()
        compared = {variant.name: variant for variant in variants(context)}
        results = {name: result for name, variant in compared.items() if (result := _result_of(context, variant))}
        paths = {name: _stage(context, name, *compared[name].inputs).folder / FILE for name in results}
        manifest = _timed_manifest(context, outcome, results, paths)
        rows = [row.model_dump(mode="json") for row in manifest.comparison]
        write_json(folder.comparison / "comparison.json", rows)
        return manifest, pages.write_page(manifest, folder, folder.comparison / pages.REPORT)


def variants(context: RunContext) -> Iterator[Variant]:
    """Yields the variants that are compared with the run's own files."""
    teacher, texts = context.recipe.teachers[0], context.data.kind.name == "text"
    if teacher.domain is not None:
        context.progress.say(f"variants of the teacher: left out. {teacher.name} knows its domain alone.")
    elif kind_in(context, 0).is_network:
        yield from _of_a_text_teacher(context) if texts else _of_the_teacher(context)
    else:
        context.progress.say(f"variants of the teacher: left out. {teacher.name} is no Keras network.")
    if context.recipe.distill.control:
        yield _control(context)
    if texts:
        context.progress.say(f"student QAT, pruned, clustered: left out; {WHY_NOT_OF_TEXTS}.")
    else:
        yield from _of_the_student(context)


def _of_a_text_teacher(context: RunContext) -> Iterator[Variant]:
    model = _load(prepared(context, 0).file)
    data, input_signature = (
        context.data_for(context.recipe.teachers[0].rendering),
        context.data.kind.signature_of(model),
    )

    def quantize(path: Path) -> float:
        _write(context, model, "dynamic", path, data, input_signature)
        return 0.0

    yield Variant("teacher dynamic", (context.stages[TEACHER.name].fingerprint,), input_signature, data, quantize)


def _of_the_teacher(context: RunContext) -> Iterator[Variant]:
    trained, images = context.stages[TEACHER.name].fingerprint, context.recipe.export.calibration_images
    side = context.result(TEACHER).image_size
    assert side is not None
    input_signature = signature(side)
    data = context.data_for(context.recipe.teachers[0].rendering)
    pruning = [trained, TEACHER_PRUNING.model_dump(mode="json"), context.stages[SOFT_LABELS.name].fingerprint]
    pruned = _stage(context, "teacher pruned", *pruning)

    def load() -> Any:
        return _load(prepared(context, 0).file)

    def quantize(path: Path) -> float:
        _write(context, load(), "int8", path, data, input_signature)
        return 0.0

    def prune(precision: str, path: Path) -> float:
        done = pruned.result()
        if done is None:
            pruned.begin(context.progress.say)
            seconds = _pruned_teacher(context, load(), pruned.folder)
            pruned.finish({"seconds": seconds}, seconds)
        _write(context, _load(pruned.folder / STUDENT_MODEL), precision, path, data, input_signature)
        return 0.0 if precision == "int8" else float((pruned.result() or {})["seconds"])

    yield Variant("teacher int8", (trained, images), input_signature, data, quantize)
    yield Variant("teacher pruned fp32", (*pruning,), input_signature, data, partial(prune, "fp32"))
    yield Variant("teacher pruned int8", (*pruning, images), input_signature, data, partial(prune, "int8"))


def _control(context: RunContext) -> Variant:
    input_signature, seed = context.shipped.reading.signature(context.recipe.data), context.result(STUDENT).best.seed
    control = context.result(CONTROL).of(seed)
    assert control is not None

    def make(path: Path) -> float:
        network = _load(of_seed(context.folder_of(CONTROL), seed) / STUDENT_MODEL)
        _write(context, network, "fp32", path, context.shipped, input_signature)
        return control.seconds

    inputs = (context.stages[CONTROL.name].fingerprint, seed)
    return Variant("control fp32", inputs, input_signature, context.shipped, make)


def _of_the_student(context: RunContext) -> Iterator[Variant]:
    of_recipe = {block.kind: block for block in context.recipe.compress}
    defaults: list[AnyCompression] = [QuantizationAware(), Prune(), Cluster()]
    input_signature, student = (
        context.shipped.reading.signature(context.recipe.data),
        context.stages[STUDENT.name].fingerprint,
    )

    def compressed(block: AnyCompression) -> Callable[[Path], float]:
        return lambda path: _compressed_student(context, block, path, input_signature)

    for default in defaults:
        block = of_recipe.get(default.kind, default)
        inputs = (
            student,
            context.result(STUDENT).best.seed,
            block.model_dump(mode="json"),
            context.recipe.export.model_dump(mode="json"),
        )
        yield Variant(f"student {_SHOWN[block.kind]} int8", inputs, input_signature, context.shipped, compressed(block))


_SHOWN = {"qat": "QAT", "prune": "pruned", "cluster": "clustered"}


def _compressed_student(context: RunContext, block: AnyCompression, path: Path, input_signature: Signature) -> float:
    from tfkd.compress import QUANTIZED
    from tfkd.writers import tflite

    recipe, folder, trained = context.recipe, path.parent / "compressed", context.result(STUDENT).best
    job = job_in_run(context, "student", trained.seed, folder, recipe.student, len(chain(recipe)))
    source, title = best_folder(context) / STUDENT_MODEL, f"compression ({block.kind})"
    result = context.executor.compress(CompressJob(job, source, (block,), title), context.progress)
    if result.quantized:
        tflite.write_quantized(folder / QUANTIZED, path, context.card, input_signature)
    else:
        _write(context, _load(folder / STUDENT_MODEL), "int8", path, context.shipped, input_signature)
    return result.seconds + trained.seconds


def _pruned_teacher(context: RunContext, teacher: Any, folder: Path) -> float:
    """Prunes the teacher, trained on its own soft labels."""
    from tfkd.compress.student import compress_network, steps
    from tfkd.compress.tf_keras_copy import copy_layer_by_layer

    recipe, stores = context.recipe, stores_behind(context.recipe, context.data, context.stages, assistants=0)
    lesson = lesson_of(
        recipe,
        context.data,
        context.folder.checked,
        seed=recipe.seed,
        rendering=recipe.teachers[0].rendering,
        stores=stores,
        folder=folder,
    )
    with context.progress.task("pruning the teacher", steps(lesson, [TEACHER_PRUNING]), "steps") as advance:
        result = compress_network(
            lesson, teacher, copy_layer_by_layer, [TEACHER_PRUNING], folder, advance, context.progress.say
        )
    return result.seconds


def _load(path: Path) -> Any:
    from tfkd.training import teacher

    return teacher.load_teacher(path)


def _write(
    context: RunContext, model: Any, precision: str, path: Path, data: Dataset, input_signature: Signature
) -> None:
    from tfkd.writers import samples, tflite

    export = context.recipe.export
    examples = samples.calibration(data, input_signature, export.calibration_images, context.recipe.seed)
    tflite.write_tflite(model, precision, path, context.card, examples, ranges=export.ranges)


def _stage(context: RunContext, name: str, *inputs: Any) -> Stage:
    """Returns the stage of one variant; other settings have other folders."""
    own = fingerprint(name, CODE, *inputs)
    place = context.folder.comparison / name.replace(" ", "-") / own
    return Stage(place, own, {"inputs": inputs}, conditions=conditions(), name=name)


def _result_of(context: RunContext, variant: Variant) -> dict[str, Any] | None:
    """Returns the figures of a variant's file, after creating and measuring it if necessary.

    A network that cannot be compressed is reported and left out, so that the others can be compared.
    """
    stage = _stage(context, variant.name, *variant.inputs)
    stage.mend(context.progress.say, thorough=True)
    if (done := stage.result()) is not None:
        context.progress.say(f"{variant.name}: reused")
        return done
    context.progress.say(f"{variant.name} …")
    stage.begin(context.progress.say)
    path = stage.folder / FILE
    try:
        seconds = variant.make(path)
    except RequestError as error:
        context.progress.say(f"{variant.name}: left out. {error}")
        return None
    stage.finish({"seconds": seconds, **_accuracies(context, variant, path)}, seconds)
    return stage.result()


def _accuracies(context: RunContext, variant: Variant, path: Path) -> dict[str, float | None]:
    import numpy as np

    from tfkd.data.batches import plain_batches
    from tfkd.verification import tflite

    batches = plain_batches(variant.data.test, variant.signature, 64).map(lambda inputs, _: inputs)
    top1 = tflite.predict(path, batches).argmax(axis=1)
    return {
        "accuracy": float(np.mean(top1 == context.data.test.labels)),
        "agreement": ensemble_agreement(context, top1),
    }


def _timed_manifest(
    context: RunContext, outcome: Outcome, results: dict[str, dict[str, Any]], paths: dict[str, Path]
) -> Manifest:
    """Returns the manifest with the latency of every file measured again, all in one process."""
    assert outcome.manifest is not None
    rows = compared_files(context) | {name: {name: path} for name, path in paths.items()}
    entries = measure_rows(context, rows)
    own = [_with_latencies(row, list(rows[row.variant]), entries) for row in outcome.manifest.comparison]
    teacher = ensemble_accuracy(context)
    added = [
        assembly.comparison_row(name, {name: paths[name]}, entries, reference=teacher, **result)
        for name, result in results.items()
    ]
    compared = sorted([*own, *added], key=lambda row: ORDER.index(row.variant.split()[0]))
    return outcome.manifest.model_copy(update={"comparison": compared})


def _with_latencies(row: ComparisonRow, names: list[str], entries: list[BenchEntry]) -> ComparisonRow:
    """Returns a row with the median latencies of its files, with one thread and with all cores, and their memory."""
    measured = {
        "latency_ms": latency(entries, names, single=True),
        "latency_all_ms": latency(entries, names, single=False),
        "peak_memory_mb": peak_memory(entries, names),
    }
    return row.model_copy(update=measured)
