"""A run: every stage of a recipe done, reused or resumed, in the order that `tfkd.pipeline.graph` gives."""

import functools
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.publishing import require_writable
from tfkd.data import Dataset, open_source
from tfkd.errors import RequestError, nearest
from tfkd.files import write_json
from tfkd.models.imports import import_modules
from tfkd.pipeline.graph import CODE, STAGES, chain, is_store, kind_of, number_of, seeds, stages_of
from tfkd.pipeline.stage import Stage, locked, run_together
from tfkd.progress import Progress, counted
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Gates, Recipe, Student, Teacher
from tfkd.recipe.names import numbered
from tfkd.report import units
from tfkd.store.layout import Layout
from tfkd.training.job import Job, Kind, Store, StudentResult
from tfkd.verification import GateError, VerifyError
from tfkd.verification.records import Artifact, ChanceTest, Diagnosis
from tfkd.writers import Card, ExportedFile, card_of, check_installed

TEACHER = "teacher_fp32"
CHECKED = "data"
PROPOSED_LABELS = "proposed_labels.txt"
_CHECK = " Check the labels and the input normalization, or train it longer."


@dataclass(frozen=True)
class Outcome:
    """What a run ended with: its folder and, unless it stopped before the report, the bundle and the manifest."""

    folder: Path
    bundle: Path | None = None
    manifest: Manifest | None = None

    @property
    def passed(self) -> bool:
        """True where no gate failed; those that were not judged did not."""
        return self.manifest is None or all(gate.verdict != "failed" for gate in self.manifest.gates)


def run(
    recipe: Recipe,
    progress: Progress,
    runs: Path = Path("runs"),
    bundles: Path = Path("exported_models"),
    until: str | None = None,
    fresh: bool = False,
) -> Outcome:
    """Runs a recipe: finished stages are reused, a killed one goes on from its last checkpoint.

    A bundle is published as `bundles/<name>` unless a gate fails; then it stays at `runs/<name>/report/bundle`, so
    that it never takes the place of a good one.

    Args:
        recipe: what to do.
        progress: shows what is going on.
        runs: the folder of the runs' folders.
        bundles: the folder of the bundles.
        until: name of the last stage to run.
        fresh: forget what earlier calls with these settings did.

    Raises:
        RequestError: the request was wrong, or another process works in the run's folder.
        GateError: a teacher is not better than chance, so that no store of its soft labels was made.
    """
    if until is not None and until not in STAGES:
        raise RequestError(f"There is no stage {until!r}.{nearest(until, list(STAGES))}")
    check_installed(recipe.export)
    if until in (None, STAGES[-1]):
        require_writable(bundles / recipe.name)
    folder = runs / recipe.name
    with locked(folder):
        write_json(folder / "recipe.json", recipe.model_dump(mode="json"))
        work = Run(recipe, folder, progress)
        if fresh:
            for stage in work.stages.values():
                stage.forget()
        return work.until(until or STAGES[-1], bundles / recipe.name)


def open_data(recipe: Recipe, folder: Path, progress: Progress) -> Dataset:
    """Opens a recipe's images; the outcome of checking every photo is kept in the run's folder."""
    with progress.task("checking photos", None, "photos") as advance:
        return open_source(recipe.data, recipe.seed, counted(advance), folder / CHECKED)


class Run:
    """One call of `run`: each stage is a method that takes what the stages before it left in their folders."""

    def __init__(self, recipe: Recipe, folder: Path, progress: Progress, data: Dataset | None = None) -> None:
        self.recipe = recipe
        self.folder = folder
        self.progress = progress
        self.data = data or open_data(recipe, folder, progress)
        self.stages = stages_of(recipe, self.data, folder)
        self.results: dict[str, Any] = {}

    def until(self, last: str, destination: Path) -> Outcome:
        """Runs the stages up to and with `last`; publishes the bundle after the last of all."""
        self._tell_data()
        wanted = STAGES[: STAGES.index(last) + 1]
        self._mend([stage for stage in self.stages.values() if kind_of(stage.name) in wanted], destination)
        work = {
            "teacher": self._teacher,
            "soft_labels": self._soft_labels,
            "assistant": self._assistant,
            "assistant_labels": self._soft_labels,
            "control": self._trainings,
            "student": self._trainings,
            "compress": self._compress,
            "export": self._export,
            "verify": self._verify,
            "bench": self._bench,
            "report": self._report,
        }
        for group in self._groups():
            stages = [stage for stage in group if kind_of(stage.name) in wanted]
            for stage, result in zip(
                stages, run_together(stages, work[kind_of(group[0].name)], self.progress), strict=True
            ):
                self.results[stage.name] = result
                self._require_plausible(stage)
            self.data.require_unchanged()
        return self._outcome(destination) if last == STAGES[-1] else Outcome(self.folder)

    def _mend(self, stages: list[Stage], destination: Path) -> None:
        """Finds damaged files of finished stages: by their hashes before anything is made of them or published."""
        from tfkd.bundle import seal

        finished = all(stage.result() is not None for stage in stages)
        report = self.stages[STAGES[-1]]
        settled = finished and (report not in stages or seal.same(report.folder / "bundle", destination))
        for stage in stages:
            stage.mend(self.progress.say, thorough=not settled)

    def _groups(self) -> list[list[Stage]]:
        """Returns the stages in order; student and control are trained side by side.

        Teachers that are used as they are come first: a wrong one stops the run before any other is trained.
        """
        together = [self.stages["control"], self.stages["student"]]
        alone = [[stage] for name, stage in self.stages.items() if name != "control"]
        alone.sort(key=lambda group: not self._is_used_as_it_is(group[0].name))
        return [together if group[0].name == "student" else group for group in alone]

    def _is_used_as_it_is(self, stage: str) -> bool:
        return kind_of(stage) == "teacher" and self.recipe.teachers[number_of(stage)].fine_tune is None

    @functools.cache  # noqa: B019  (one run, one object)
    def start_tensorflow(self) -> None:
        """Loads TensorFlow, quietly and only when a stage has something to do, and makes it deterministic."""
        with native_logs_silenced():
            from tfkd.training import loop
        loop.prepare_tensorflow(machine.cores(), self.recipe.seed)
        import_modules(self.recipe.imports)

    def _tell_data(self) -> None:
        splits = ", ".join(f"{len(getattr(self.data, name)):,} {name}" for name in ("train", "validation", "test"))
        extra = f", {len(self.data.unlabelled):,} unlabelled" if self.data.unlabelled else ""
        self.progress.say(
            f"data: {self.data.source}, {len(self.data.classes)} classes ({self.data.named()}), {splits}{extra}"
        )
        for text in self.data.described():
            self.progress.say(f"  {text}")

    def seen(self, name: str) -> Dataset:
        """Returns the images as a network of this modality sees them."""
        from tfkd.data.renderings import rendered

        return rendered(name, self.data)

    @functools.cached_property
    def shipped(self) -> Dataset:
        """The images as the student sees them."""
        return self.seen(self.recipe.student.modality)

    @functools.cached_property
    def card(self) -> Card:
        """What every exported file says of itself."""
        return card_of(self.recipe.model_dump(mode="json"), self.data.classes, self.data.fingerprint)

    def _teacher(self, stages: list[Stage]) -> list[Any]:
        self.start_tensorflow()
        from tfkd.training import student, teacher

        (stage,) = stages
        recipe = self.recipe
        student.check([*chain(recipe), recipe.student], recipe, len(self.data.classes))
        chosen = recipe.teachers[number_of(stage.name)]
        self._check_convertible(chosen)
        result = teacher.prepare_teacher(
            chosen,
            self.seen(chosen.modality),
            recipe.data.augment,
            recipe.seed,
            stage.folder,
            self.progress,
            recipe.distill.teacher_taps,
        )
        return [asdict(result)]

    def _require_plausible(self, stage: Stage) -> None:
        """Stops the run after a wrong teacher or an assistant at chance, before the store of its labels is paid for.

        Raises:
            GateError: says what was measured, and what to do.
        """
        if kind_of(stage.name) not in ("teacher", "assistant"):
            return
        found = self.diagnosis(stage.name) if kind_of(stage.name) == "teacher" else []
        told = "".join(f" {each}" for each in found)
        if self.recipe.gates.better_than_chance:
            self._require_better_than_chance(stage, told)
        if found and self.recipe.gates.diagnosis:
            raise GateError(
                f"{stage.name}:{told} No soft labels were computed. gates.diagnosis=false switches this gate off."
            )
        if found:
            self.progress.say(f"  warning:{told}")

    def diagnosis(self, name: str) -> list[Diagnosis]:
        """Returns the likely causes of a finished teacher's wrong predictions; none are looked for in a specialist."""
        from tfkd.verification import diagnosis

        number, folder = number_of(name), self.stages[name].folder
        if self.recipe.teachers[number].classes:
            return []
        kept = folder / "diagnosis.json"
        return diagnosis.read_or_diagnose(kept, CODE["diagnosis"], lambda: self._diagnosed(number, folder))

    def _diagnosed(self, number: int, folder: Path) -> list[Diagnosis]:
        """Looks for causes in the test predictions, and with other pixels in an own model that is often wrong."""
        self.start_tensorflow()
        from tfkd.training import teacher as teachers
        from tfkd.verification import diagnosis

        chosen = self.recipe.teachers[number]
        logits, labels = self.test_logits(numbered("teacher", number)), self.data.test.labels
        model = teachers.load_teacher(folder / "teacher.keras")
        subject = diagnosis.subject_of(chosen, number, model, self.data.classes, self.folder / PROPOSED_LABELS)
        if not diagnosis.is_suspicious(labels, logits.argmax(axis=1)):
            return diagnosis.order_of_labels(subject, logits, labels)
        self.progress.say("  looking for the cause of wrong predictions")
        probes = diagnosis.probe_images(self.seen(chosen.modality), model.input_shape[1], self.recipe.seed)
        return diagnosis.diagnose(subject, *probes)

    def _require_better_than_chance(self, stage: Stage, told: str) -> None:
        from tfkd.verification.gates import better_than_chance

        gate = better_than_chance(stage.name, self.chance_test(stage.name))
        if gate.verdict == "failed":
            raise GateError(
                f"{stage.name} is not better than chance on the test split: {gate.reason}, p = {gate.value:.2g} "
                f"(limit {gate.limit}).{told or _CHECK} No soft labels were computed. "
                "gates.better_than_chance=false switches this gate off."
            )
        if gate.verdict == "not judged":
            self.progress.say(f"  {gate.name}: not judged, {gate.reason}")

    def test_logits(self, name: str) -> Any:
        """Returns the logits of a finished teacher or assistant on the test split, float32 [n, classes]."""
        import numpy as np

        return np.load(self.stages[name].folder / "test_logits.npy", allow_pickle=False)

    def chance_test(self, name: str) -> ChanceTest:
        """Tests a finished teacher or assistant against chance; a specialist on the classes that it knows."""
        import numpy as np

        from tfkd.verification.truth import chance_test

        labels, predictions = self.data.test.labels, self.test_logits(name).argmax(axis=1)
        known = self.recipe.teachers[number_of(name)].classes if kind_of(name) == "teacher" else None
        if known is not None:
            inside = np.isin(labels, [self.data.classes.index(each) for each in known])
            labels, predictions = labels[inside], predictions[inside]
        return chance_test(labels, predictions)

    def _check_convertible(self, teacher: Teacher) -> None:
        """Converts the user's own networks before they are trained: what no converter takes is not worth the hours.

        Raises:
            RequestError: the student cannot be converted, or the teacher cannot and a gate needs its file.
        """
        from tfkd.models import STUDENTS, TEACHERS, build_student, build_teacher
        from tfkd.writers.tflite import check_convertible

        classes, seed, size = self.data.classes, self.recipe.seed, self.recipe.data.image_size
        if teacher.model not in TEACHERS:
            try:
                check_convertible(build_teacher(teacher, len(classes), seed, classes), self.card, teacher.model)
            except RequestError as error:
                self.progress.say(f"  warning: {teacher_is_left_out(error, self.recipe.gates)}")
        if self.recipe.student.model not in STUDENTS:
            student = build_student(self.recipe.student, size, len(classes), seed)
            check_convertible(student, self.card, self.recipe.student.model)

    def _store(self, name: str, layout: dict[str, Any]) -> Store:
        """Returns what a stage of soft labels holds, whose answers have this layout."""
        header = {
            "fingerprint": self.stages[name].base,
            "images": len(self.data.train) + len(self.data.unlabelled or ()),
            "views": self.recipe.distill.views,
            "layout": layout,
        }
        share = self.recipe.teachers[number_of(name)].share if kind_of(name) == "soft_labels" else 1.0
        return Store(self.stages[name].folder, header, share)

    def _stores(self, assistants: int) -> tuple[Store, ...]:
        """Returns what teaches the network behind that many assistants."""
        several = [numbered("soft_labels", number) for number in range(len(self.recipe.teachers))]
        names = [numbered("assistant_labels", assistants - 1)] if assistants else several
        return tuple(self._store(name, self.results[name]["layout"]) for name in names)

    def asked(self, name: str) -> Path:
        """Returns the file of the network whose answers a stage of soft labels holds."""
        number = number_of(name)
        if kind_of(name) == "soft_labels":
            return self.stages[numbered("teacher", number)].folder / "teacher.keras"
        return self.stages[numbered("assistant", number)].folder / "student.keras"

    def _load_asked(self, name: str) -> Any:
        """Returns the network whose answers a stage of soft labels holds, as it is to answer."""
        from tfkd.training import teacher

        network = teacher.load_teacher(self.asked(name))
        if kind_of(name) == "soft_labels" and self.recipe.teachers[number_of(name)].batch_norm == "batch":
            from tfkd.models.batch_statistics import with_batch_statistics

            return with_batch_statistics(network)
        return network

    def _soft_labels(self, stages: list[Stage]) -> list[Any]:
        self.start_tensorflow()
        from tfkd.store import inference as answers
        from tfkd.store import soft_labels
        from tfkd.training import student

        (stage,) = stages
        start = time.perf_counter()
        distill, taps = self.recipe.distill, self.recipe.distill.teacher_taps
        taught = self._load_asked(stage.name)
        layout = Layout.chosen(len(self.data.classes), answers.feature_shapes(taught, taps))
        store = self._store(stage.name, layout.described())
        images = student.transfer_set(self.seen(self._modality(stage.name)))
        answer = answers.answers(
            taught,
            taps,
            images,
            self.recipe.asked_views,
            self.recipe.seed,
            len(self.data.classes),
            distill.views,
            store.folder,
        )
        self.progress.say(f"  asking in {answer.inference}")
        views = len(images) * distill.views
        with self.progress.task("teacher answers", views, "views") as advance:
            soft_labels.write_soft_labels(store.folder, store.header, answer, advance)
        seconds = time.perf_counter() - start
        inference = asdict(answer.inference)
        return [{"views": views, "seconds": seconds, "layout": layout.described(), "inference": inference}]

    def _modality(self, name: str) -> str:
        """Returns what the network sees whose answers a stage of soft labels holds."""
        number = number_of(name)
        if kind_of(name) == "soft_labels":
            return self.recipe.teachers[number].modality
        return chain(self.recipe)[number].modality

    def _assistant(self, stages: list[Stage]) -> list[Any]:
        (stage,) = stages
        number = number_of(stage.name)
        job = self.job("student", self.recipe.seed, stage.folder, chain(self.recipe)[number], number)
        return [asdict(result) for result in self.train([job], 1)]

    def _trainings(self, stages: list[Stage]) -> list[Any]:
        """Trains the students and their controls side by side."""
        jobs = [job for stage in stages for job in self._jobs(stage)]
        # The same whether all trainings are due or only some, so that a resumed one has the threads it began with.
        in_all = len(seeds(self.recipe)) * (1 + self.recipe.distill.control)
        results = self.train(jobs, in_all)
        return [
            {"trainings": [asdict(result) for job, result in zip(jobs, results, strict=True) if job.kind == stage.name]}
            for stage in stages
        ]

    def train(
        self, jobs: list[Job], in_all: int, finished: Callable[[int, StudentResult], None] = lambda number, result: None
    ) -> list[StudentResult]:
        """Runs trainings, as many side by side as there are cores.

        Args:
            jobs: what to train.
            in_all: how many there are with those that earlier calls finished, so that each has the threads it had.
            finished: called with a job's place among `jobs` and its result, as soon as it is done.
        """
        self.start_tensorflow()
        from tfkd.training import loop, workers

        side_by_side = 1 if loop.has_gpu() else min(machine.cores(), in_all)
        threads = max(1, machine.cores() // side_by_side)
        return workers.run_jobs(jobs, side_by_side, threads, self.progress, finished)

    def _jobs(self, stage: Stage) -> list[Job]:
        if stage.name == "control" and not self.recipe.distill.control:
            return []
        kind: Kind = "control" if stage.name == "control" else "student"
        behind = len(chain(self.recipe))
        return [
            self.job(kind, seed, stage.folder / f"seed-{seed}", self.recipe.student, behind)
            for seed in seeds(self.recipe)
        ]

    def job(self, kind: Kind, seed: int, folder: Path, network: Student, assistants: int) -> Job:
        """Returns one training of a network behind so many assistants; its stores must be finished."""
        stores = self._stores(assistants)
        return Job(
            kind=kind,
            seed=seed,
            recipe=self.recipe,
            student=network,
            folder=folder,
            checked=self.folder / CHECKED,
            images=stores[0].header["images"],
            stores=stores,
            data=self.data.fingerprint,
        )

    @property
    def chosen_seed(self) -> int:
        """The seed whose student ships: the best on the validation split, never on the test split."""
        trainings = self.results["student"]["trainings"]
        best: int = max(trainings, key=lambda training: training["validation_accuracy"])["seed"]
        return best

    @property
    def _shipped_folder(self) -> Path:
        """Where the network stands that ships: the chosen student, or what the compressions made of it."""
        return self.stages["compress"].folder if self.recipe.compress else self.chosen_folder

    @property
    def chosen_folder(self) -> Path:
        """Where that student stands."""
        return self.stages["student"].folder / f"seed-{self.chosen_seed}"

    def _compress(self, stages: list[Stage]) -> list[Any]:
        self.start_tensorflow()
        from tfkd.compress.student import compress_student, steps

        (stage,) = stages
        job = self.job("student", self.chosen_seed, stage.folder, self.recipe.student, len(chain(self.recipe)))
        blocks = self.recipe.compress
        with self.progress.task("compression", steps(job, blocks), "steps") as advance:
            result = compress_student(
                job, self.chosen_folder / "student.keras", blocks, stage.folder, advance, self.progress.say
            )
        return [asdict(result)]

    def _export(self, stages: list[Stage]) -> list[Any]:
        self.start_tensorflow()
        from tfkd.compress import QUANTIZED
        from tfkd.training import teacher
        from tfkd.training.saving import load_model
        from tfkd.writers import export, samples, tflite

        folder = stages[0].folder
        quantized = self._shipped_folder / QUANTIZED
        images = samples.calibration(
            self.shipped, self.recipe.data.image_size, self.recipe.export.calibration_images, self.recipe.seed
        )

        def tell(path: str) -> None:
            self.progress.say(f"  {path}")

        made = export(
            load_model(self._shipped_folder / "student.keras"),
            self.recipe.export,
            self.card,
            images,
            folder / "bundle",
            tell,
            quantized if quantized.is_dir() else None,
        )
        not_exported = {}
        for number, name in enumerate(self._teacher_names):
            tell(f"{name}.tflite (for comparison, not in the bundle)")
            taught = teacher.load_teacher(self.asked(numbered("soft_labels", number)))
            try:
                tflite.write_tflite(taught, "fp32", folder / f"{name}.tflite", self.card, images)
            except RequestError as error:
                not_exported[name] = str(error)
                tell(teacher_is_left_out(error, self.recipe.gates))
        return [
            {
                "files": [asdict(file) for file in made.files],
                "missing": [file.model_dump(mode="json") for file in made.missing],
                "teachers_not_exported": not_exported,
            }
        ]

    @property
    def _teacher_names(self) -> list[str]:
        return [numbered(TEACHER, number) for number in range(len(self.recipe.teachers))]

    @property
    def _teachers_not_exported(self) -> dict[str, str]:
        """Why a teacher's .tflite file could not be made, by the file's name without the suffix."""
        reasons: dict[str, str] = self.results["export"].get("teachers_not_exported", {})
        return reasons

    @property
    def teacher_files(self) -> list[str]:
        """The teachers' fp32 .tflite files, without the suffix; none where one is missing, as they predict together."""
        return [] if self._teachers_not_exported else self._teacher_names

    def compared_files(self) -> dict[str, dict[str, Path]]:
        """Returns the .tflite files behind each row of the comparison, by the names that the bench gives them."""
        folder = self.stages["export"].folder
        files = {name: folder / f"{name}.tflite" for name in self.teacher_files}
        rows = {"teacher fp32": files} if files else {}
        for entry in self.results["export"]["files"]:
            if entry["format"] == "tflite":
                rows[f"student {entry['precision']}"] = {entry["path"]: self._exported / entry["path"]}
        return rows

    @property
    def _exported(self) -> Path:
        return self.stages["export"].folder / "bundle"

    def _verify(self, stages: list[Stage]) -> list[Any]:
        self.start_tensorflow()
        import numpy as np

        from tfkd.data.batches import plain_batches
        from tfkd.distill.measures import softmax
        from tfkd.verification.artifacts import Reference, measure

        signature = self.data.kind.signature(self.recipe.data)
        reference = Reference(
            batches=plain_batches(self.shipped.test, signature, 64).map(lambda inputs, _: inputs),
            labels=self.data.test.labels,
            keras=softmax(np.load(self._shipped_folder / "test_logits.npy")).astype(np.float32),
            teacher_top1=self.teacher_logits().argmax(axis=1),
            size=self.recipe.data.image_size,
        )
        artifacts = []
        for entry in self.results["export"]["files"]:
            file = ExportedFile(**entry)
            artifacts.append(measure(self._exported, file, reference, self.card))
            self.progress.say(f"  {file.path}: {_told(artifacts[-1])}")
        return [{"artifacts": [artifact.model_dump(mode="json") for artifact in artifacts]}]

    @property
    def teacher_stages(self) -> list[str]:
        """The names of the teachers' stages."""
        return [numbered("teacher", number) for number in range(len(self.recipe.teachers))]

    def teacher_logits(self) -> Any:
        """Returns what the teachers answer together on the test split, float32 [n, classes]."""
        from tfkd.distill.ensemble import together

        logits = [self.test_logits(name) for name in self.teacher_stages]
        return together(logits, [teacher.share for teacher in self.recipe.teachers])

    def teacher_accuracy(self) -> float:
        """Returns the test accuracy, 0 to 1, of all teachers together; they must be finished."""
        from tfkd.distill.measures import accuracy

        return accuracy(self.teacher_logits(), self.data.test.labels)

    def _bench(self, stages: list[Stage]) -> list[Any]:
        from tfkd.benchmark import host

        files = {name: path for row in self.compared_files().values() for name, path in row.items()}
        entries = host.measure(files, self.recipe.bench, lambda text: self.progress.say(f"  {text}"))
        return [{"entries": [entry.model_dump(mode="json") for entry in entries]}]

    def _report(self, stages: list[Stage]) -> list[Any]:
        self.start_tensorflow()
        from tfkd.report import summary

        bundle = stages[0].folder / "bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        shutil.copytree(self._exported, bundle)
        made = summary.Run(
            recipe=self.recipe,
            data=self.shipped,
            folders={name: stage.folder for name, stage in self.stages.items()},
            fingerprints={name: stage.fingerprint for name, stage in self.stages.items()},
            environments={name: other for name, stage in self.stages.items() if (other := stage.other_environment())},
            results=self.results,
            chosen_seed=self.chosen_seed,
            shipped=self._shipped_folder,
            teacher_tests={name: self.chance_test(name) for name in self.teacher_stages},
            diagnosis=[each for name in self.teacher_stages for each in self.diagnosis(name)],
            teacher_files=self.teacher_files,
            teachers_not_exported=[self._teachers_not_exported.get(name) for name in self._teacher_names],
            teacher_logits=self.teacher_logits(),
            views_seconds=sum(result["seconds"] for name, result in self.results.items() if is_store(name)),
        )
        summary.write(made, bundle)
        return [{"bundle": "bundle"}]

    def _outcome(self, destination: Path) -> Outcome:
        made = self.stages["report"].folder / "bundle"
        manifest = Manifest.model_validate_json((made / "manifest.json").read_bytes())
        return publish(made, manifest, destination, self.folder, self.progress)


def teacher_is_left_out(error: RequestError, gates: Gates) -> str:
    """Returns what a run says of a teacher that cannot be converted, and which goes on without its file.

    Raises:
        RequestError: a gate compares files with the teacher's.
    """
    for name in ("min_size_ratio", "min_speed_ratio"):
        if getattr(gates, name) is not None:
            raise RequestError(f"{error} gates.{name} compares with its file; set that gate to None.") from error
    return f"{error} The run goes on; the comparison then has no row of the teacher."


def publish(made: Path, manifest: Manifest, destination: Path, folder: Path, progress: Progress) -> Outcome:
    """Publishes a finished bundle if no gate failed; a failed one never takes the place of a good one.

    Raises:
        VerifyError: the copy that is to be published fails `tfkd verify`.
        RequestError: it cannot be written.
    """
    from tfkd.bundle import publishing, seal
    from tfkd.bundle.layout import MEASUREMENTS
    from tfkd.report import devices

    outcome = Outcome(folder, made, manifest)
    if not (made / MEASUREMENTS / devices.HTML).is_file():
        devices.write(made)
    if not outcome.passed:
        return outcome
    if not seal.same(made, destination):
        progress.say("publishing: verifying the copy from its own bytes")
        publishing.publish(made, destination, _require_verified, devices.write)
    return replace(outcome, bundle=destination)


def _require_verified(folder: Path) -> None:
    from tfkd.bundle.verification import verify

    for check in verify(folder):
        if check.verdict == "failed":
            raise VerifyError(f"The bundle was not published, because {check.name} fails tfkd verify: {check.found}")


def _told(artifact: Artifact) -> str:
    if artifact.not_verified:
        return f"{artifact.bytes:,} bytes, not verified here: {artifact.not_verified}"
    text = f"{artifact.bytes:,} bytes, accuracy {artifact.accuracy:.1%}, top-1 as Keras {artifact.top1_vs_keras:.1%}"
    if artifact.delegation is None:
        return text
    return f"{text}, {units.counted(artifact.delegation.partitions, 'XNNPACK partition')}"
