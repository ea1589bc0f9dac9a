"""Finds the best student for a budget: measures candidates untrained, trains those that fit, and publishes the best.

Every file, measurement and training is stored in the run's folder, so that an interrupted fit, or one with another
budget, repeats none.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tfkd.bundle.publishing import require_writable
from tfkd.errors import RequestError, counted
from tfkd.files import write_json, write_text
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.executor import Executor
from tfkd.pipeline.fitting import cost, verdict
from tfkd.pipeline.fitting.candidates import Candidate, candidates_of, resolved, settings_of
from tfkd.pipeline.fitting.cost import Speeds
from tfkd.pipeline.fitting.files import TEACHER_ITSELF, Untrained, number_layers_from_the_start, untrained_files
from tfkd.pipeline.fitting.finals import (
    context_of,
    final_run,
    known_final,
    relative_on_validation,
    teacher_itself,
)
from tfkd.pipeline.fitting.findings import FitFindings
from tfkd.pipeline.fitting.halving import Clock, Halving
from tfkd.pipeline.fitting.measuring import FitTarget, Measurements, target_of
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.graph import ORDER
from tfkd.pipeline.run import open_run, run_stages
from tfkd.pipeline.stage import locked
from tfkd.pipeline.stages import STAGES
from tfkd.pipeline.stages.assistant_labels import ASSISTANT_LABELS
from tfkd.pipeline.stages.teacher import TEACHER, measured_accuracy, prepared
from tfkd.progress import Progress
from tfkd.recipe import Fit, Recipe
from tfkd.recipe.names import kind_of, number_of
from tfkd.report import fits, units
from tfkd.report.fits import FitResult, FitRow
from tfkd.writers import check_installed

MEASUREMENTS = "measurements"  # folder
_TRIES = 2  # times `finalists`: final runs at most, where trained files exceed the budget


def fit(
    recipe: Recipe,
    progress: Progress,
    runs: Path = Path("runs"),
    bundles: Path = Path("exported_models"),
    options: Mapping[str, object] | None = None,
    executor: Executor | None = None,
) -> FitResult:
    """Finds and publishes the best student for the budget in `recipe.fit`.

    Writes `fit/fit.html`, `fit/result.json` and `fit/recipe.json`, the recipe of the best student, to the run's folder.

    Args:
        recipe: the recipe, whose student and image size the candidates replace.
        progress: shows progress.
        runs: folder of the runs' folders.
        bundles: folder of the bundles.
        options: options of the target by name.
        executor: trains and fills the stores; default: this machine.

    Raises:
        RequestError: the request was wrong, or another process works in the run's folder.
        GateError: a teacher is not better than chance.
        MachineError: the device or the machine did not let it be measured.
    """
    settings = settings_of(recipe)
    target, candidates = target_of(settings, recipe.bench, options or {}), candidates_of(recipe, settings)
    check_installed(recipe.export)
    require_writable(bundles / recipe.name)
    folder = RunFolder(runs / recipe.name)
    if not (folder.fit / MEASUREMENTS).is_dir():  # a fit whose files are all measured needs no device
        target.check()
    with locked(folder.path):
        context = _open(recipe, settings, folder, progress, executor)
        search = _Search(context, settings, target)
        result = search.run(resolved(context, candidates), bundles / recipe.name)
        write_json(result.folder / "result.json", asdict(result) | {"folder": str(result.folder)} | _bundle(result))
        fits.write_page(result)
    return result


def plan(
    recipe: Recipe, progress: Progress, runs: Path = Path("runs"), options: Mapping[str, object] | None = None
) -> list[str]:
    """Returns what a fit would do and cost; builds the untrained files, but measures and trains nothing.

    Raises:
        RequestError: the request is wrong.
        MachineError: the device cannot be reached.
    """
    settings = settings_of(recipe)
    target, candidates = target_of(settings, recipe.bench, options or {}), candidates_of(recipe, settings)
    target.check()
    folder = RunFolder(runs / recipe.name)
    with locked(folder.path):
        context = _open(recipe, settings, folder, progress, None)
        search = _Search(context, settings, target)
        files = untrained_files(context, resolved(context, candidates))
        return search.predicted(files, cost.timed(context, files))


def _open(
    recipe: Recipe, settings: Fit, folder: RunFolder, progress: Progress, executor: Executor | None
) -> RunContext:
    return open_run(recipe.model_copy(update={"fit": settings}), folder, progress, executor, keep=True)


def _bundle(result: FitResult) -> dict[str, str | None]:
    return {"bundle": str(result.bundle) if result.bundle else None}


class _Search:
    """One call of a fit.

    Args:
        context: of the run, whose folder is locked.
        settings: candidates and budget.
        target: where files are measured.
    """

    def __init__(self, context: RunContext, settings: Fit, target: FitTarget) -> None:
        self._context = context
        self._settings = settings
        self._target = target
        self._clock = Clock(settings.hours)
        folder = context.folder.fit / MEASUREMENTS
        self._measurements = Measurements(folder, target, context.progress.say)

    def run(self, candidates: list[Candidate], destination: Path) -> FitResult:
        """Builds, measures, trains and publishes."""
        say = self._context.progress.say
        say(f"building {counted(len(candidates), 'candidate')} untrained as {self._settings.ships} files")
        files = untrained_files(self._context, candidates)
        speeds = cost.timed(self._context, files)
        for line in self.predicted(files, speeds):
            say(line)
        measured = self._measurements.measure({file.name: file.path for file in files})
        number_layers_from_the_start(self._context)
        found = FitFindings(self._context, self._settings, self._target, files, measured)
        say(f"{len(found.within)} of {counted(len(files), 'file')} meet the budget")
        if not found.within:
            return self._result(found, verdict.nothing_meets(found.rows, found.limits))
        if TEACHER_ITSELF in [file.name for file in found.within] and self._teacher_suffices(found):
            row = found.row(TEACHER_ITSELF)
            return self._result(found, verdict.do_not_distil(row, found.limits, self._export_command()), row)
        self._train(found, speeds)
        return self._judged(found, destination)

    def predicted(self, files: Sequence[Untrained], speeds: Speeds) -> list[str]:
        """Returns the cost of what is left, in lines."""
        missing = self._measurements.missing({file.name: file.path for file in files})
        students = [file for file in files if file.candidate]
        prediction = cost.predict(self._context, self._settings, students, missing, speeds)
        return [*self._unfinished_stages(), f"{counted(len(files), 'file')}: {prediction}"]

    def _unfinished_stages(self) -> list[str]:
        """Returns what unfinished teachers and stores cost."""
        before = ORDER[: ORDER.index(ASSISTANT_LABELS.name) + 1]
        stages = {name: stage for name, stage in self._context.stages.items() if kind_of(name) in before}
        todo = [name for name, stage in stages.items() if stage.result() is None]
        return [f"{name}: {STAGES[kind_of(name)].cost(self._context, number_of(name))}" for name in todo]

    def _teacher_suffices(self, found: FitFindings) -> bool:
        """Trains and quantizes the teacher; returns whether its file is within the budget and accurate enough."""
        run_stages(self._context, TEACHER.name, self._context.folder.path)
        final = teacher_itself(self._context, self._settings, self._measurements)
        found.finals[TEACHER_ITSELF] = final
        decides = relative_on_validation(self._context, final)
        self._context.progress.say(f"the quantized teacher reaches {units.percent(decides)} of its validation accuracy")
        row = found.row(TEACHER_ITSELF)
        return min(decides, final.relative) >= self._settings.min_relative_accuracy and not row.excesses

    def _train(self, found: FitFindings, speeds: Speeds) -> None:
        """Runs the rounds and the final runs."""
        students = [file for file in found.within if file.candidate]
        if not students:
            return
        self._require_time(students, speeds)
        run_stages(self._context, ASSISTANT_LABELS.name, self._context.folder.path)
        measured_accuracy(self._context)
        halving = Halving(self._context, self._settings, speeds, self._clock)
        ranked = halving.ranked(students)
        found.standings, found.cut = halving.standings, halving.cut
        meeting = 0
        for file in ranked[: _TRIES * self._settings.finalists]:
            if meeting == self._settings.finalists:
                break
            found.finals[file.name] = final_run(self._context, self._settings, file, self._measurements)
            row = found.row(file.name)
            if row.excesses:
                self._context.progress.say(verdict.over_when_trained(row, found.limits))
            meeting += not row.excesses

    def _require_time(self, students: list[Untrained], speeds: Speeds) -> None:
        least = min(cost.final_seconds(self._context, [file], speeds) for file in students)
        if least > self._clock.left:
            raise RequestError(
                f"fit.hours = {self._settings.hours:g}: the final trainings of the cheapest candidate alone take about "
                f"{least / 3600:.2g} hours. Increase it; what was measured is kept."
            )

    def _judged(self, found: FitFindings, destination: Path) -> FitResult:
        """Chooses by the validation split, and publishes what reaches the accuracy on the test split."""
        rows = [found.row(name) for name in found.finals]
        eligible = [row for row in rows if not row.excesses]
        if not eligible:
            lines = [verdict.over_when_trained(row, found.limits) for row in rows]
            return self._result(found, [*lines, *verdict.binding(found.rows)])
        students = [row for row in eligible if row.role == "student"]
        best = max(students or eligible, key=lambda row: (row.validation_accuracy or 0.0, -row.measured.kb, row.name))
        wanted = self._settings.min_relative_accuracy
        if students:
            self._write_recipe(found, best)
        if best.relative is None or best.relative < wanted:
            self._recall(found)
            return self._result(found, verdict.nothing_reaches(found.rows, best, found.limits, wanted))
        return self._published(found, best, destination)

    def _published(self, found: FitFindings, best: FitRow, destination: Path) -> FitResult:
        """Runs the recipe of the best candidate, whose trainings are finished, to its bundle."""
        own = self._context_of(found, best)
        write_json(own.folder.recipe, own.recipe.model_dump(mode="json"))
        outcome = run_stages(own, ORDER[-1], destination)
        if not outcome.passed:
            text = f"{best.name} meets the budget, but a gate failed, so nothing was published; see {outcome.bundle}."
            return self._result(found, [text])
        lines = [*verdict.ships(best, found.limits), *verdict.binding(found.rows)]
        return self._result(found, lines, best, outcome.bundle)

    def _write_recipe(self, found: FitFindings, best: FitRow) -> None:
        recipe = self._context_of(found, best).recipe
        write_json(self._context.folder.fit / fits.RECIPE, recipe.model_dump(mode="json"))

    def _context_of(self, found: FitFindings, row: FitRow) -> RunContext:
        candidate = found.named(row.name).candidate
        assert candidate is not None
        return context_of(self._context, self._settings, candidate)

    def _recall(self, found: FitFindings) -> None:
        """Adds final files over the budget that an earlier fit trained."""
        for file in found.files:
            if file.candidate and file not in found.within:
                final = known_final(self._context, self._settings, file, self._measurements)
                if final is not None:
                    found.finals[file.name] = final

    def _export_command(self) -> str:
        """Writes the labels, and returns the command that publishes the teacher."""
        labels = self._context.folder.fit / "labels.txt"
        write_text(labels, "".join(f"{name}\n" for name in self._context.data.classes))
        recipe, model = self._context.recipe, prepared(self._context, 0).file
        words = ["tfkd", "export", str(model), "--labels", str(labels), "--data", recipe.data.source]
        return shlex.join([*words, "--name", recipe.name, "--tflite", self._settings.ships])

    def _result(
        self, found: FitFindings, lines: Iterable[str], chosen: FitRow | None = None, bundle: Path | None = None
    ) -> FitResult:
        return found.result(self._measurements.device, list(lines), chosen, bundle)
