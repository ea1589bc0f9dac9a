"""What each way to make a classifier smaller is worth: variants of one run, made and measured side by side.

Beside the files that the run itself exports: the teacher quantized, pruned, and both; the control; and the student
pruned, clustered and trained with int8 rounding, each by the recipe's own block of that kind, or by the block's
defaults. A variant has a folder of its own, so that a killed comparison goes on where it was.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tfkd.bundle.manifest import ComparisonRow, Manifest, latency
from tfkd.bundle.publishing import require_writable
from tfkd.bundle.results import BenchEntry
from tfkd.data import Dataset
from tfkd.errors import RequestError
from tfkd.files import fingerprint, write_json
from tfkd.pipeline.graph import STAGES, chain, conditions
from tfkd.pipeline.run import Outcome, Run
from tfkd.pipeline.stage import Stage, locked
from tfkd.progress import Progress
from tfkd.recipe import AnyCompression, Cluster, Prune, QuantizationAware, Recipe, Student, Training

FOLDER = "compare"
CODE = 1  # raise it when a variant's code gives other files
FILE = "model.tflite"
ORDER = ("teacher", "control", "student")

# One pass: a teacher costs many times what a student does, and starts from trained weights.
TEACHER_PRUNING = Prune(training=Training(epochs=1, batch_size=32, learning_rate=1e-4, warmup_epochs=0.1))


@dataclass(frozen=True)
class Variant:
    """One file to compare.

    Attributes:
        name: as the table shows it.
        inputs: what it depends on beside the code.
        size: side of its input, pixels.
        data: the images as it sees them.
        make: writes the file and returns the seconds of the trainings behind it.
    """

    name: str
    inputs: tuple[Any, ...]
    size: int
    data: Dataset
    make: Callable[[Path], float]


def compare(
    recipe: Recipe, progress: Progress, runs: Path = Path("runs"), bundles: Path = Path("exported_models")
) -> tuple[Manifest, Path]:
    """Runs a recipe, makes the variants of its teacher and student, and times and measures all of them together.

    Leaves `compare/report.html` and `compare/comparison.json` in the run's folder.

    Args:
        recipe: what to compare; with several teachers the first is taken.
        progress: shows what is going on.
        runs: the folder of the runs' folders.
        bundles: the folder of the bundles.

    Returns:
        The run's manifest with all rows in its comparison, and the report's path.

    Raises:
        RequestError: the recipe cannot be run, or a network has a layer that cannot be compressed.
    """
    folder = runs / recipe.name
    require_writable(bundles / recipe.name)
    with locked(folder):
        run = Run(recipe, folder, progress)
        outcome = run.until(STAGES[-1], bundles / recipe.name)
        run.start_tensorflow()
        compared = {variant.name: variant for variant in variants(run)}
        made = {name: result for name, variant in compared.items() if (result := _made(run, variant))}
        paths = {name: _stage(run, name, *compared[name].inputs).folder / FILE for name in made}
        manifest = _measured(run, outcome, made, paths)
        write_json(folder / FOLDER / "comparison.json", [row.model_dump(mode="json") for row in manifest.comparison])
        from tfkd.report import summary

        return manifest, summary.write_page(manifest, folder, folder / FOLDER / "report.html")


def variants(run: Run) -> Iterator[Variant]:
    """Yields what is compared beside the run's own files."""
    yield from _of_the_teacher(run)
    if run.recipe.distill.control:
        yield _control(run)
    yield from _of_the_student(run)


def _of_the_teacher(run: Run) -> Iterator[Variant]:
    trained, images = run.stages["teacher"].fingerprint, run.recipe.export.calibration_images
    size = run.results["teacher"]["image_size"]
    data = run.seen(run.recipe.teachers[0].modality)
    pruning = [trained, TEACHER_PRUNING.model_dump(mode="json"), run.stages["soft_labels"].fingerprint]
    pruned = _stage(run, "teacher pruned", *pruning)

    def load() -> Any:
        return _loaded(run.asked("soft_labels"))

    def quantize(path: Path) -> float:
        _write(run, load(), "int8", path, data, size)
        return 0.0

    def prune(precision: str, path: Path) -> float:
        done = pruned.result()
        if done is None:
            pruned.begin(run.progress.say)
            pruned.finish({"seconds": _pruned_teacher(run, load(), pruned.folder)})
        _write(run, _loaded(pruned.folder / "student.keras"), precision, path, data, size)
        return 0.0 if precision == "int8" else float((pruned.result() or {})["seconds"])

    yield Variant("teacher int8", (trained, images), size, data, quantize)
    yield Variant("teacher pruned fp32", (*pruning,), size, data, partial(prune, "fp32"))
    yield Variant("teacher pruned int8", (*pruning, images), size, data, partial(prune, "int8"))


def _control(run: Run) -> Variant:
    size, stage = run.recipe.data.image_size, run.stages["control"]

    def make(path: Path) -> float:
        folder = stage.folder / f"seed-{run.chosen_seed}"
        _write(run, _loaded(folder / "student.keras"), "fp32", path, run.shipped, size)
        trainings = run.results["control"]["trainings"]
        return float(next(each["seconds"] for each in trainings if each["seed"] == run.chosen_seed))

    return Variant("control fp32", (stage.fingerprint, run.chosen_seed), size, run.shipped, make)


def _of_the_student(run: Run) -> Iterator[Variant]:
    asked = {block.kind: block for block in run.recipe.compress}
    defaults: list[AnyCompression] = [QuantizationAware(), Prune(), Cluster()]
    size, student = run.recipe.data.image_size, run.stages["student"].fingerprint

    def compressed(block: AnyCompression) -> Callable[[Path], float]:
        return lambda path: _compressed_student(run, block, path)

    for default in defaults:
        block = asked.get(default.kind, default)
        inputs = (student, run.chosen_seed, block.model_dump(mode="json"), run.recipe.export.model_dump(mode="json"))
        yield Variant(f"student {_TOLD[block.kind]} int8", inputs, size, run.shipped, compressed(block))


_TOLD = {"qat": "QAT", "prune": "pruned", "cluster": "clustered"}


def _compressed_student(run: Run, block: AnyCompression, path: Path) -> float:
    from tfkd.compress import QUANTIZED
    from tfkd.compress.student import compress_student, steps
    from tfkd.writers import tflite

    recipe, folder = run.recipe, path.parent / "compressed"
    job = run.job("student", run.chosen_seed, folder, recipe.student, len(chain(recipe)))
    with run.progress.task(f"compression ({block.kind})", steps(job, [block]), "steps") as advance:
        result = compress_student(job, run.chosen_folder / "student.keras", [block], folder, advance, run.progress.say)
    if result.quantized:
        tflite.write_quantized(folder / QUANTIZED, path, run.card, recipe.data.image_size)
    else:
        _write(run, _loaded(folder / "student.keras"), "int8", path, run.shipped, recipe.data.image_size)
    trainings = run.results["student"]["trainings"]
    return result.seconds + next(each["seconds"] for each in trainings if each["seed"] == run.chosen_seed)


def _pruned_teacher(run: Run, teacher: Any, folder: Path) -> float:
    """Prunes the teacher as a student of its own answers."""
    from tfkd.compress.student import compress_network, steps
    from tfkd.compress.twin import twin_of

    recipe, chosen = run.recipe, run.recipe.teachers[0]
    data = recipe.data.model_copy(update={"image_size": teacher.input_shape[1]})
    itself = Student(model=chosen.model, modality=chosen.modality)
    job = replace(run.job("student", recipe.seed, folder, itself, 0), recipe=recipe.model_copy(update={"data": data}))
    with run.progress.task("pruning the teacher", steps(job, [TEACHER_PRUNING]), "steps") as advance:
        return compress_network(job, teacher, twin_of, [TEACHER_PRUNING], folder, advance, run.progress.say).seconds


def _loaded(path: Path) -> Any:
    from tfkd.training import teacher

    return teacher.load_teacher(path)


def _write(run: Run, model: Any, precision: str, path: Path, data: Dataset, size: int) -> None:
    from tfkd.writers import samples, tflite

    export = run.recipe.export
    images = samples.calibration(data, size, export.calibration_images, run.recipe.seed)
    tflite.write_tflite(model, precision, path, run.card, images, ranges=export.ranges)


def _stage(run: Run, name: str, *inputs: Any) -> Stage:
    """Returns where one variant is kept, beside those of other settings."""
    digits = fingerprint(name, CODE, *inputs)
    place = run.folder / FOLDER / name.replace(" ", "-") / digits
    return Stage(place, digits, {"inputs": inputs}, conditions=conditions(), name=name)


def _made(run: Run, variant: Variant) -> dict[str, Any] | None:
    """Returns what is known of a variant's file, which is made and measured where it is not yet.

    A network that cannot be compressed is told and left out: the others are worth comparing without it.
    """
    stage = _stage(run, variant.name, *variant.inputs)
    stage.mend(run.progress.say, thorough=True)
    if (done := stage.result()) is not None:
        run.progress.say(f"{variant.name}: reused")
        return done
    run.progress.say(f"{variant.name} …")
    stage.begin(run.progress.say)
    path = stage.folder / FILE
    try:
        seconds = variant.make(path)
    except RequestError as error:
        run.progress.say(f"{variant.name}: left out. {error}")
        return None
    stage.finish({"seconds": seconds, **_accuracies(run, variant, path)})
    return stage.result()


def _accuracies(run: Run, variant: Variant, path: Path) -> dict[str, float]:
    import numpy as np

    from tfkd.data.batches import plain_batches
    from tfkd.inputs.image.tensors import signature as image_signature
    from tfkd.verification import tflite

    images = plain_batches(variant.data.test, image_signature(variant.size), 64).map(lambda images, _: images)
    top1 = tflite.predict(path, images).argmax(axis=1)
    return {
        "accuracy": float(np.mean(top1 == run.data.test.labels)),
        "agreement": float(np.mean(top1 == run.teacher_logits().argmax(axis=1))),
    }


def _measured(run: Run, outcome: Outcome, made: dict[str, dict[str, Any]], paths: dict[str, Path]) -> Manifest:
    """Returns the manifest with every file timed anew, all of them in turn in one process."""
    from tfkd.benchmark import host
    from tfkd.report import summary

    assert outcome.manifest is not None
    rows = run.compared_files() | {name: {name: path} for name, path in paths.items()}
    files = {name: path for row in rows.values() for name, path in row.items()}
    entries = host.measure(files, run.recipe.bench, lambda text: run.progress.say(f"  {text}"))
    own = [_timed(row, list(rows[row.variant]), entries) for row in outcome.manifest.comparison]
    teacher = run.teacher_accuracy()
    added = [
        summary.compared(name, {name: paths[name]}, entries, reference=teacher, **result)
        for name, result in made.items()
    ]
    compared = sorted([*own, *added], key=lambda row: ORDER.index(row.variant.split()[0]))
    return outcome.manifest.model_copy(update={"comparison": compared})


def _timed(row: ComparisonRow, names: list[str], entries: list[BenchEntry]) -> ComparisonRow:
    """Returns a row with the median latencies of its files, with one thread and with all cores."""
    times = {
        "latency_ms": latency(entries, names, single=True),
        "latency_all_ms": latency(entries, names, single=False),
    }
    return row.model_copy(update=times)
