"""Runs a recipe and, where its student misses a gate on accuracy or classes, tries remedies of the causes.

A remedy changes the recipe, so that this is a way of running a recipe and no field of one: a recipe that is stored in a
bundle and run again gives that bundle, without trying anything. Every remedy trains in the run's own folder under its
own fingerprints, so that a call that was interrupted, or ran out of time, continues.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfkd import machine
from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import Manifest, RescueEntry, RescueTry
from tfkd.bundle.publishing import require_writable
from tfkd.errors import RequestError
from tfkd.files import read_sealed, write_json, write_sealed
from tfkd.models import imagenet_file
from tfkd.pipeline.causes.finding import causes_of, missed
from tfkd.pipeline.causes.overfitted import FOLDS
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.executor import Executor
from tfkd.pipeline.filling import images_in_transfer_set
from tfkd.pipeline.fitting.halving import Clock
from tfkd.pipeline.fold_runs import require_no_folds
from tfkd.pipeline.graph import ORDER
from tfkd.pipeline.lock_request import LockRequest
from tfkd.pipeline.run import Outcome, begun, open_run, run, run_stages
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.on_validation import ValidationScore, score_of
from tfkd.pipeline.stages.report import REPORT
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.student_figures import figures_of
from tfkd.progress import Progress
from tfkd.recipe import IMAGENET, Recipe
from tfkd.recipe.names import kind_of
from tfkd.report.facts import reached
from tfkd.verification import GateError
from tfkd.verification.records import Diagnosis

MOST_TRIES = 2
HOURS = 1.0  # default of a call
OPENING = 60  # seconds that are allowed for what comes before the first remedy


@dataclass(frozen=True)
class Proposal:
    """One remedy of one cause."""

    cause: str
    overrides: tuple[str, ...]


def proposals_of(causes: Sequence[Diagnosis]) -> list[Proposal]:
    """Returns the remedies in the order in which they are tried: the first one of every cause, then all others.

    Folds are left out, because they have no validation images in common with the run.
    """
    every = [
        (place, strength, Proposal(cause.cause, tuple(overrides)))
        for strength, cause in enumerate(causes)
        for place, overrides in enumerate(each for each in cause.overrides if FOLDS not in each)
    ]
    found: dict[tuple[str, ...], Proposal] = {}
    for _, _, proposal in sorted(every, key=lambda each: (each[0] > 0, each[1], each[0])):
        found.setdefault(proposal.overrides, proposal)
    return list(found.values())


def run_or_rescue(
    recipe: Recipe,
    progress: Progress,
    runs: Path,
    bundles: Path,
    until: str | None,
    fresh: bool,
    rescue: bool,
    hours: float | None,
    lock: LockRequest | None = None,
    executor: Executor | None = None,
) -> Outcome:
    """Runs a recipe, with `rescue` as `run_with_rescue` does, otherwise as `tfkd.pipeline.run.run` does.

    Raises:
        RequestError: as `run`, or the arguments do not fit together.
    """
    if hours is not None and not rescue:
        raise RequestError("hours is the time for remedies; it needs --rescue.")
    if not rescue:
        return run(recipe, progress, runs, bundles, until, fresh, lock, executor)
    if until not in (None, ORDER[-1]):
        raise RequestError(f"A rescue needs the verdict of the gates, after {until}; leave --until out.")
    limit = HOURS if hours is None else hours
    return run_with_rescue(recipe, progress, runs, bundles, limit, fresh, lock, executor)


def run_with_rescue(
    recipe: Recipe,
    progress: Progress,
    runs: Path = Path("runs"),
    bundles: Path = Path("exported_models"),
    hours: float = HOURS,
    fresh: bool = False,
    lock: LockRequest | None = None,
    executor: Executor | None = None,
) -> Outcome:
    """Runs a recipe; where its student misses a gate on accuracy or classes, the first two remedies are trained.

    The recipe that the validation images prefer is finished, judged and, if it passes, published: by the missed gates
    on classes, or by the accuracy where none of these was missed.

    Args:
        recipe: the recipe.
        progress: shows progress.
        runs: the folder of the runs' folders.
        bundles: the folder of the bundles.
        hours: that this call may take for remedies; none is begun that is expected to take longer.
        fresh: ignore the results of earlier calls with these settings.
        lock: see `run`; a remedy that changes the teachers is not tried.
        executor: see `run`.

    Raises:
        RequestError, GateError, VerifyError: as `run`.
    """
    require_no_folds(recipe, "run --rescue")
    destination = bundles / recipe.name
    require_writable(destination)
    with begun(recipe, progress, runs, fresh, lock, executor) as context:
        gates = None if fresh else _missed_before(context)
        if gates is None:
            outcome = run_stages(context, ORDER[-1], destination)
            assert outcome.manifest is not None
            gates = [gate.name for gate in missed(outcome.manifest)]
            if not gates:
                progress.say("rescue: the student itself missed no gate on accuracy or classes, so nothing is tried")
                return outcome
            write_sealed(context.folder.rescue, {"student": _key(context), "missed": gates})
        final = _Rescue(recipe, context, gates, hours).final()
        write_json(context.folder.recipe, final.recipe.model_dump(mode="json"))
        return run_stages(final, ORDER[-1], destination)


def _missed_before(context: RunContext) -> list[str] | None:
    """Returns the gates that the student of this recipe missed in an earlier call; None where none is known."""
    record = read_sealed(context.folder.rescue) or {}
    finished = context.stages[STUDENT.name].result() is not None and context.stages[CONTROL.name].result() is not None
    return record["missed"] if finished and record.get("student") == _key(context) else None


def _key(context: RunContext) -> list[str]:
    recipe, stages = context.recipe, context.stages
    gates = recipe.gates.model_dump_json()
    return [stages[STUDENT.name].fingerprint, stages[CONTROL.name].fingerprint, gates, str(recipe.export.thresholds)]


class _Rescue:
    """The tries of one call.

    Args:
        recipe: as the user gave it, which remedies override as on the command line.
        context: of the run of that recipe, whose folder is locked and whose student is trained.
        missed: names of the gates that the student missed.
        hours: for the remedies.
    """

    def __init__(self, recipe: Recipe, context: RunContext, missed: list[str], hours: float) -> None:
        self._recipe = recipe
        self._context = context
        self._missed = missed
        self._hours = hours
        self._clock = Clock(hours)
        self._trained: dict[int, tuple[RunContext, ValidationScore]] = {}

    def final(self) -> RunContext:
        """Tries remedies and returns the run of the recipe that validation prefers, with the record of the tries."""
        figures, before = figures_of(self._context, self._missed), score_of(self._context, self._missed)
        tries = self._tries(proposals_of(causes_of(figures)))
        ranks = {number: score.rank for number, (_, score) in self._trained.items()}
        best, kept = max(ranks, key=lambda number: ranks[number], default=None), self._context
        if best is not None and ranks[best] > before.rank:
            tries[best] = tries[best].model_copy(update={"kept": True})
            kept, _ = self._trained[best]
        entry = RescueEntry(
            missed=self._missed,
            validation_accuracies=before.accuracies,
            on_classes=before.on_classes,
            tries=tries,
        )
        self._say(entry)
        return _recorded(kept, entry)

    def _tries(self, proposals: Sequence[Proposal]) -> list[RescueTry]:
        """Tries remedies; one that cannot be begun, such as for lack of its weights, leaves its place to the next."""
        tries, left = list[RescueTry](), MOST_TRIES
        for proposal in proposals:
            if not left:
                break
            self._context.progress.say(f"rescue: {' '.join(proposal.overrides)}, as of the cause {proposal.cause!r}")
            if reason := self._obstacle(proposal):
                tries.append(_untried(proposal, reason))
                continue
            tries.append(self._tried(len(tries), proposal))
            left -= 1
        return tries

    def _obstacle(self, proposal: Proposal) -> str:
        """Returns why the recipe refuses a remedy, or why its ImageNet weights cannot be had; "" where nothing does."""
        try:
            student = self._recipe.with_(*proposal.overrides).student
            if student.weights == IMAGENET and student != self._context.recipe.student:
                self._context.start_tensorflow()
                imagenet_file(student)
        except RequestError as error:
            return str(error)
        return ""

    def _tried(self, number: int, proposal: Proposal) -> RescueTry:
        """Trains the student with a remedy, and returns what validation says of it, or why it was not trained."""
        progress = self._context.progress
        try:
            changed = self._recipe.with_(*proposal.overrides)
            other = open_run(changed, self._context.folder, progress, self._context.executor, keep=True)
            if reason := self._why_not(other):
                return _untried(proposal, reason)
            other = replace(other, command="rescue", lock=self._context.lock and self._context.lock.kept)
            run_stages(other, STUDENT.name, self._context.folder.path)
        except (RequestError, GateError) as error:
            return _untried(proposal, str(error))
        score = score_of(other, self._missed)
        self._trained[number] = other, score
        return RescueTry(
            cause=proposal.cause,
            overrides=list(proposal.overrides),
            validation_accuracies=score.accuracies,
            on_classes=score.on_classes,
            kept=False,
        )

    def _why_not(self, other: RunContext) -> str:
        """Returns why a remedy is not trained; "" where it is."""
        if other.data.labelled != self._context.data.labelled:
            return "its validation examples are others, so that the accuracies cannot be compared"
        expected, left = expected_seconds(self._context, other), max(0.0, self._clock.left)
        if expected <= left:
            return ""
        enough = _rounded_up(self._hours + (OPENING + expected - self._clock.left) / 3600)
        return (
            f"it is expected to take {expected / 3600:.2g} hours, and {left / 3600:.2g} are left; --hours {enough:g} "
            "suffices"
        )

    def _say(self, entry: RescueEntry) -> None:
        say = self._context.progress.say
        say(f"rescue: before, validation accuracy {reached(entry)}")
        for each in entry.tries:
            found = each.reason or f"validation accuracy {reached(each)}"
            say(f"rescue: {' '.join(each.overrides)}: {found}{', kept' if each.kept else ''}")


def expected_seconds(context: RunContext, other: RunContext) -> float:
    """Returns how long the stages of another recipe are expected to take, by those of a finished run.

    A training's time is taken as proportional to the images shown, the area of the input and the square of the width.
    """
    todo = [name for name, stage in other.stages.items() if stage.result() is None]
    seconds = 0.0
    if CONTROL.name in todo or STUDENT.name in todo:
        trainings = [*context.result(STUDENT).trainings, *context.result(CONTROL).trainings]
        side_by_side = min(machine.cores(), len(trainings))
        seconds += sum(each.seconds for each in trainings) / side_by_side * _cost(other) / _cost(context)
    before = ORDER[: ORDER.index(CONTROL.name)]
    for name in todo:
        if kind_of(name) in before and name in context.stages:
            seconds += context.stages[name].seconds()
    return seconds


def _cost(context: RunContext) -> float:
    recipe = context.recipe
    shown = images_in_transfer_set(context.data) * recipe.distill.training.epochs * recipe.distill.repeats
    return float(shown * recipe.data.image_size**2 * recipe.student.width**2)


def _rounded_up(hours: float) -> float:
    """Returns positive hours with two digits, not less."""
    unit = 10.0 ** (math.floor(math.log10(hours)) - 1)
    return float(f"{math.ceil(hours / unit) * unit:.2g}")


def _untried(proposal: Proposal, reason: str) -> RescueTry:
    return RescueTry(cause=proposal.cause, overrides=list(proposal.overrides), kept=False, reason=reason)


def _recorded(context: RunContext, entry: RescueEntry) -> RunContext:
    """Returns a run whose manifest gets the record; a report without it is made again."""
    path, stage = context.folder.bundle / MANIFEST, context.stages[REPORT.name]
    if stage.result() is not None and Manifest.model_validate_json(path.read_bytes()).rescue != entry:
        stage.forget()
    return replace(context, rescue=entry)
