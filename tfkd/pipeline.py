"""The stages of a run in their order: fingerprints, reuse, resume. No other module knows the order.

data → teacher → soft_labels → control, student → export → verify → bench → report
"""

import functools
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tfkd
from tfkd import machine
from tfkd.data import ImageData, open_source
from tfkd.errors import RequestError, nearest
from tfkd.export import Card, ExportedFile
from tfkd.export.manifest import Artifact, Manifest
from tfkd.files import fingerprint, write_json
from tfkd.progress import Progress
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Recipe
from tfkd.stages import Stage, locked, run_together

STAGES = ("data", "teacher", "soft_labels", "control", "student", "export", "verify", "bench", "report")
TEACHER = "teacher_fp32"
CHECKED = "data"

# Raise a stage's number when its code gives other results: finished stages of older code are then made anew.
CODE = dict.fromkeys(STAGES, 1)


@dataclass(frozen=True)
class Outcome:
    """What a run ended with: its folder and, unless it stopped before the report, the bundle and the manifest."""

    folder: Path
    bundle: Path | None = None
    manifest: Manifest | None = None

    @property
    def passed(self) -> bool:
        """True where no gate failed."""
        return self.manifest is None or all(gate.passed for gate in self.manifest.gates)


def run(
    recipe: Recipe,
    progress: Progress,
    runs: Path = Path("runs"),
    bundles: Path = Path("exported_models"),
    until: str | None = None,
    fresh: bool = False,
) -> Outcome:
    """Runs a recipe: finished stages are reused, a killed one goes on from its last checkpoint.

    A bundle whose gates pass is published as `bundles/<name>`; one that fails stays at `runs/<name>/report/bundle`, so
    that it never takes the place of a good one.

    Args:
        recipe: what to do.
        progress: shows what is going on.
        runs: the folder of the runs' folders.
        bundles: the folder of the bundles.
        until: name of the last stage to run.
        fresh: forget what earlier calls did.

    Raises:
        RequestError: the request was wrong, or another process works in the run's folder.
    """
    if until is not None and until not in STAGES:
        raise RequestError(f"There is no stage {until!r}.{nearest(until, list(STAGES))}")
    folder = runs / recipe.name
    with locked(folder):
        if fresh:
            for name in STAGES:
                Stage(folder / name, "").forget()
        write_json(folder / "recipe.json", recipe.model_dump(mode="json"))
        return _Run(recipe, folder, progress).until(until or STAGES[-1], bundles / recipe.name)


@dataclass(frozen=True)
class Step:
    """One stage of a planned run: whether a finished result of it stands, and what making it takes."""

    name: str
    finished: bool
    cost: str


def plan(recipe: Recipe, progress: Progress, runs: Path = Path("runs")) -> list[Step]:
    """Returns what a run of this recipe would do. Opens the data, but builds no model.

    Raises:
        RequestError: the data cannot be opened.
    """
    folder = runs / recipe.name
    data = open_data(recipe, folder, progress)
    costs = _costs(recipe, data)
    return [
        Step(name, Stage(folder / name, digits).result() is not None, costs.get(name, ""))
        for name, digits in fingerprints(recipe, data).items()
    ]


def _costs(recipe: Recipe, data: ImageData) -> dict[str, str]:
    distill = recipe.distill
    pool = len(data.train) + len(data.unlabelled or ())
    views = pool * distill.views
    shown = pool * distill.training.epochs
    tuning = recipe.teachers[0].fine_tune
    return {
        "teacher": f"{len(data.train) * tuning.epochs:,} images shown to the thawed teacher"
        if tuning
        else "no training",
        "soft_labels": f"{views:,} views answered, {views * len(data.classes) * 2 / 1e6:,.1f} MB",
        "control": f"{distill.repeats * shown:,} images shown" if distill.control else "switched off",
        "student": f"{distill.repeats * shown:,} images shown",
        "export": f"{len(recipe.export.tflite)} TFLite and {len(recipe.export.coreml)} Core ML files",
        "verify": f"{len(data.test):,} test images through every TFLite file",
    }


def open_data(recipe: Recipe, folder: Path, progress: Progress) -> ImageData:
    """Opens a recipe's images; the outcome of checking every photo is kept in the run's folder."""
    with progress.task("checking photos", None, "photos") as advance:
        done = 0

        def report(checked: int, _: int) -> None:
            nonlocal done
            advance(checked - done)
            done = checked

        return open_source(recipe.data, recipe.seed, report, folder / CHECKED)


def fingerprints(recipe: Recipe, data: ImageData) -> dict[str, str]:
    """Returns the fingerprint of every stage after `data`: of its recipe part, inputs, code and libraries."""
    described = recipe.model_dump(mode="json")
    distill, augment = described["distill"], described["data"]["augment"]
    network = [described["student"], recipe.data.image_size, augment, distill["training"], _seeds(recipe)]
    unlabelled = data.unlabelled and len(data.unlabelled)
    found: dict[str, str] = {}

    def add(stage: str, *inputs: Any) -> None:
        found[stage] = fingerprint(stage, CODE[stage], machine.libraries(), *inputs)

    add("teacher", data.fingerprint, described["teachers"], augment, recipe.seed)
    add("soft_labels", found["teacher"], unlabelled, distill["views"])
    add("control", data.fingerprint, network, unlabelled, distill["control"], machine.cores())
    add("student", found["soft_labels"], network, distill["losses"], distill["label_weight"], machine.cores())
    add("export", found["student"], described["export"], recipe.name)
    add("verify", found["export"])
    add("bench", found["export"], described["bench"], machine.processor(), machine.cores())
    add("report", found["control"], found["verify"], found["bench"], described, tfkd.__version__)
    return found


def _seeds(recipe: Recipe) -> list[int]:
    return [recipe.seed + repeat for repeat in range(recipe.distill.repeats)]


class _Run:
    """One call of `run`: each stage is a method that takes what the stages before it left in their folders."""

    def __init__(self, recipe: Recipe, folder: Path, progress: Progress) -> None:
        self.recipe = recipe
        self.folder = folder
        self.progress = progress
        self.data = open_data(recipe, folder, progress)
        self.stages = {name: Stage(folder / name, digits) for name, digits in fingerprints(recipe, self.data).items()}
        self.results: dict[str, Any] = {}

    def until(self, last: str, destination: Path) -> Outcome:
        """Runs the stages up to and with `last`; publishes the bundle after the last of all."""
        self._tell_data()
        wanted = STAGES[: STAGES.index(last) + 1]
        for group, work in (
            (("teacher",), self._teacher),
            (("soft_labels",), self._soft_labels),
            (("control", "student"), self._trainings),
            (("export",), self._export),
            (("verify",), self._verify),
            (("bench",), self._bench),
            (("report",), self._report),
        ):
            stages = [self.stages[name] for name in group if name in wanted]
            for stage, result in zip(stages, run_together(stages, work, self.progress), strict=True):
                self.results[stage.name] = result
        return self._outcome(destination) if last == STAGES[-1] else Outcome(self.folder)

    @functools.cache  # noqa: B019  (one run, one object)
    def _start_tensorflow(self) -> None:
        """Loads TensorFlow, quietly and only when a stage has something to do, and makes it deterministic."""
        with native_logs_silenced():
            from tfkd.distill import training
        training.prepare_tensorflow(machine.cores(), self.recipe.seed)

    def _tell_data(self) -> None:
        splits = ", ".join(f"{len(getattr(self.data, name)):,} {name}" for name in ("train", "validation", "test"))
        extra = f", {len(self.data.unlabelled):,} unlabelled" if self.data.unlabelled else ""
        self.progress.say(f"data: {self.data.source}, {len(self.data.classes)} classes, {splits}{extra}")
        for rejected in self.data.rejected:
            self.progress.say(f"  left out: {rejected}")

    @functools.cached_property
    def _card(self) -> Card:
        export = self.recipe.export
        return Card(
            self.recipe.name, self.data.classes, export.author, export.license, export.version, export.description
        )

    def _teacher(self, stages: list[Stage]) -> list[Any]:
        self._start_tensorflow()
        from tfkd.distill import teacher

        recipe = self.recipe
        result = teacher.prepare_teacher(
            recipe.teachers[0], self.data, recipe.data.augment, recipe.seed, stages[0].folder, self.progress
        )
        return [asdict(result)]

    @functools.cached_property
    def _loaded_teacher(self) -> Any:
        from tfkd.distill import teacher

        return teacher.load_teacher(self.stages["teacher"].folder)

    @property
    def _store_header(self) -> dict[str, Any]:
        return {
            "fingerprint": self.stages["soft_labels"].fingerprint,
            "images": len(self.data.train) + len(self.data.unlabelled or ()),
            "views": self.recipe.distill.views,
            "classes": len(self.data.classes),
        }

    def _soft_labels(self, stages: list[Stage]) -> list[Any]:
        self._start_tensorflow()
        from tfkd.distill import soft_labels, student, teacher

        start = time.perf_counter()
        images = student.pool(self.data)
        answer = teacher.answers(self._loaded_teacher, images, self.recipe.data.augment, self.recipe.seed)
        views = len(images) * self.recipe.distill.views
        with self.progress.task("teacher answers", views, "views") as advance:
            soft_labels.write_soft_labels(stages[0].folder, self._store_header, answer, advance)
        seconds = time.perf_counter() - start
        return [{"teacher": self.stages["teacher"].fingerprint, "views": views, "seconds": seconds}]

    def _trainings(self, stages: list[Stage]) -> list[Any]:
        """Trains the students and their controls side by side."""
        self._start_tensorflow()
        from tfkd.distill import training, workers

        jobs = [job for stage in stages for job in self._jobs(stage)]
        # The same whether all trainings are due or only some, so that a resumed one has the threads it began with.
        in_all = len(_seeds(self.recipe)) * (1 + self.recipe.distill.control)
        side_by_side = 1 if training.has_gpu() else min(machine.cores(), in_all)
        threads = max(1, machine.cores() // side_by_side)
        results = workers.run_jobs(jobs, side_by_side, threads, self.progress)
        return [
            {"trainings": [asdict(result) for job, result in zip(jobs, results, strict=True) if job.kind == stage.name]}
            for stage in stages
        ]

    def _jobs(self, stage: Stage) -> list[Any]:
        from tfkd.distill.job import Job

        if stage.name == "control" and not self.recipe.distill.control:
            return []
        return [
            Job(
                kind="control" if stage.name == "control" else "student",
                seed=seed,
                recipe=self.recipe,
                folder=stage.folder / f"seed-{seed}",
                checked=self.folder / CHECKED,
                soft_labels=self.stages["soft_labels"].folder,
                soft_labels_header=self._store_header,
            )
            for seed in _seeds(self.recipe)
        ]

    @property
    def _chosen_seed(self) -> int:
        """The seed whose student ships: the best on the validation split, never on the test split."""
        trainings = self.results["student"]["trainings"]
        best: int = max(trainings, key=lambda training: training["validation_accuracy"])["seed"]
        return best

    @property
    def _chosen_folder(self) -> Path:
        return self.stages["student"].folder / f"seed-{self._chosen_seed}"

    def _export(self, stages: list[Stage]) -> list[Any]:
        self._start_tensorflow()
        from tfkd.distill.saving import load_model
        from tfkd.export import export, samples, tflite

        folder = stages[0].folder
        images, _ = samples.photos(
            self.data.train, self.recipe.data.image_size, self.recipe.export.calibration_images, self.recipe.seed
        )

        def tell(path: str) -> None:
            self.progress.say(f"  {path}")

        files = export(
            load_model(self._chosen_folder / "student.keras"),
            self.recipe.export,
            self._card,
            images,
            folder / "bundle",
            tell,
        )
        tell(f"{TEACHER}.tflite (for comparison, not in the bundle)")
        tflite.write_tflite(self._loaded_teacher, "fp32", folder / f"{TEACHER}.tflite", self._card, images)
        return [{"files": [asdict(file) for file in files]}]

    @property
    def _exported(self) -> Path:
        return self.stages["export"].folder / "bundle"

    def _verify(self, stages: list[Stage]) -> list[Any]:
        self._start_tensorflow()
        import numpy as np

        from tfkd.data.batches import plain_batches
        from tfkd.distill.measures import softmax
        from tfkd.verify.artifacts import Reference, measure

        size = self.recipe.data.image_size
        reference = Reference(
            batches=plain_batches(self.data.test, size, 64).map(lambda images, _: images),
            labels=self.data.test.labels,
            keras=softmax(np.load(self._chosen_folder / "test_logits.npy")).astype(np.float32),
            teacher_top1=np.load(self.stages["teacher"].folder / "test_logits.npy").argmax(axis=1),
            size=size,
        )
        artifacts = []
        for entry in self.results["export"]["files"]:
            file = ExportedFile(**entry)
            artifacts.append(measure(self._exported, file, reference, self._card))
            self.progress.say(f"  {file.path}: {_told(artifacts[-1])}")
        return [{"artifacts": [artifact.model_dump(mode="json") for artifact in artifacts]}]

    def _bench(self, stages: list[Stage]) -> list[Any]:
        from tfkd.bench import host

        files = {TEACHER: self.stages["export"].folder / f"{TEACHER}.tflite"}
        for entry in self.results["export"]["files"]:
            if entry["format"] == "tflite":
                files[entry["path"]] = self._exported / entry["path"]
        entries = host.measure(files, self.recipe.bench, lambda text: self.progress.say(f"  {text}"))
        return [{"entries": [entry.model_dump(mode="json") for entry in entries]}]

    def _report(self, stages: list[Stage]) -> list[Any]:
        self._start_tensorflow()
        from tfkd.report import summary

        bundle = stages[0].folder / "bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        shutil.copytree(self._exported, bundle)
        made = summary.Run(
            recipe=self.recipe,
            data=self.data,
            folders={name: stage.folder for name, stage in self.stages.items()},
            results=self.results,
            chosen_seed=self._chosen_seed,
            teacher=TEACHER,
        )
        summary.write(made, bundle)
        return [{"bundle": "bundle"}]

    def _outcome(self, destination: Path) -> Outcome:
        """Publishes the bundle if its gates passed; a failed one never takes the place of a good one."""
        from tfkd.export import bundle

        made = self.stages["report"].folder / "bundle"
        manifest = Manifest.model_validate_json((made / "manifest.json").read_bytes())
        if not all(gate.passed for gate in manifest.gates):
            return Outcome(self.folder, made, manifest)
        if not bundle.same(made, destination):
            bundle.publish(made, destination)
        return Outcome(self.folder, destination, manifest)


def _told(artifact: Artifact) -> str:
    if artifact.accuracy is None or artifact.delegation is None:
        return f"{artifact.bytes:,} bytes, description checked"
    parts = artifact.delegation.partitions
    return (
        f"{artifact.bytes:,} bytes, accuracy {artifact.accuracy:.1%}, top-1 as Keras {artifact.top1_vs_keras:.1%}, "
        f"{parts} XNNPACK partition{'s' * (parts != 1)}"
    )
