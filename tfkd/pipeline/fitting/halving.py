"""Successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943): short trainings of many, longer ones of the best.

Every training of a round starts anew with a schedule of its own length, so that its end can be compared. All learn from
the same store, and are ranked by their accuracy on the validation split.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tfkd.errors import counted
from tfkd.files import write_sealed
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.fitting import cost
from tfkd.pipeline.fitting.candidates import MOST
from tfkd.pipeline.fitting.cost import Speeds
from tfkd.pipeline.fitting.files import Untrained
from tfkd.pipeline.folders import FIT
from tfkd.pipeline.kept_trainings import KeptTraining, train, trainings_of
from tfkd.recipe import Fit, Recipe


@dataclass(frozen=True)
class Standing:
    """What a candidate reached in the last round that it was in.

    Attributes:
        epochs: of its training.
        accuracy: on the validation split, 0 to 1.
    """

    epochs: int
    accuracy: float


@dataclass(frozen=True)
class Clock:
    """The time of one call.

    Attributes:
        hours: that the call may take; None: any.
        began: when it began, of `time.monotonic`.
    """

    hours: float | None
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return float("inf") if self.hours is None else 3600 * self.hours + self.began - time.monotonic()


@dataclass
class Halving:
    """Rounds of a fit.

    Attributes:
        context: of the run, whose stores are finished.
        settings: of the fit.
        speeds: of the trainings; updated by each round.
        clock: limits the rounds, so that the final trainings fit in.
        standings: what each candidate reached so far, by name.
        cut: what was left out for lack of time.
    """

    context: RunContext
    settings: Fit
    speeds: Speeds
    clock: Clock
    standings: dict[str, Standing] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)

    def ranked(self, files: Sequence[Untrained]) -> list[Untrained]:
        """Runs the rounds, and returns the candidates in the order in which they deserve a final run."""
        left = sorted(files, key=lambda file: (-file.multiply_adds, file.name))
        dropped: list[Untrained] = []
        for number, epochs in enumerate(cost.epochs_of(self.context.recipe, self.settings)):
            if len(left) <= self.settings.finalists:
                break
            trained = self._round(number, epochs, left)
            if trained is None:
                break
            going_on = cost.survivors(len(left), self.settings)
            left = [*trained, *(file for file in left if file not in trained)]
            left, dropped = left[:going_on], [*left[going_on:], *dropped]
            record = {"epochs": epochs, "accuracies": self._accuracies(trained), "kept": [each.name for each in left]}
            write_sealed(self.context.folder.fit / f"round-{number + 1}.json", record)
        return [*left, *dropped]

    def _round(self, number: int, epochs: int, files: list[Untrained]) -> list[Untrained] | None:
        """Trains candidates, and returns those that were trained, the best first; None where no time is left."""
        title, reserved = f"round {number + 1} of {self.settings.rounds}", self._reserved(files)
        trainings = {file.name: self._training(file, epochs) for file in files}
        chosen = [file for file in files if trainings[file.name].result() is not None]
        chosen += self._affordable([file for file in files if file not in chosen], epochs, reserved)
        if len(chosen) < len(files):
            self._say_cut(title, len(chosen) if len(chosen) > self.settings.finalists else 0, len(files))
        if len(chosen) <= self.settings.finalists:
            return None
        self.context.progress.say(f"{title}: {counted(len(chosen), 'candidate')}, {counted(epochs, 'epoch')} each")
        self._train([trainings[file.name] for file in chosen], title, reserved)
        return self._sorted(chosen, trainings, epochs)

    def _train(self, trainings: list[KeptTraining], title: str, reserved: float) -> None:
        def on_finished() -> None:
            if self.clock.left < reserved:
                raise _TimeIsUpError

        try:
            train(self.context, trainings, FIT, MOST, on_finished)
        except _TimeIsUpError:
            finished = sum(training.result() is not None for training in trainings)
            if finished < len(trainings):
                self._say_cut(title, finished, len(trainings))

    def _sorted(self, files: list[Untrained], trainings: dict[str, KeptTraining], epochs: int) -> list[Untrained]:
        found: list[Untrained] = []
        for file in files:
            if (result := trainings[file.name].result()) is not None:
                self.standings[file.name] = Standing(epochs, result.validation_accuracy)
                cost.note(self.speeds, self.context, file.name, epochs, result.seconds)
                found.append(file)
        return sorted(found, key=lambda file: (-self.standings[file.name].accuracy, file.multiply_adds, file.name))

    def _training(self, file: Untrained, epochs: int) -> KeptTraining:
        assert file.candidate is not None
        (training,) = trainings_of(
            self.context, shortened(file.candidate.recipe(self.context.recipe), epochs), FIT, file.name
        )
        return training

    def _affordable(self, files: list[Untrained], epochs: int, reserved: float) -> list[Untrained]:
        """Returns the first of some candidates, as many as leave the reserved seconds."""
        left, seconds, found = self.clock.left - reserved, list[float](), list[Untrained]()
        for file in files:
            seconds.append(cost.round_seconds(self.context, file, epochs, self.speeds))
            if cost.side_by_side(seconds) > left:
                break
            found.append(file)
        return found

    def _reserved(self, files: list[Untrained]) -> float:
        """Returns the seconds of the final trainings of the candidates that take longest."""
        longest = sorted(files, key=lambda file: -file.multiply_adds)[: self.settings.finalists]
        return cost.final_seconds(self.context, longest, self.speeds)

    def _accuracies(self, files: list[Untrained]) -> dict[str, float]:
        return {file.name: self.standings[file.name].accuracy for file in files}

    def _say_cut(self, title: str, trained: int, of: int) -> None:
        text = f"{title} was cut to {trained} of {counted(of, 'candidate')}" if trained else f"{title} was left out"
        self.cut.append(f"{text}, so that the final trainings end within {self.settings.hours:.3g} hours")
        self.context.progress.say(self.cut[-1])


class _TimeIsUpError(Exception):
    """The final trainings must begin."""


def shortened(recipe: Recipe, epochs: int) -> Recipe:
    """Returns a recipe for a training of a round: of few epochs, with one seed and no control or finish."""
    training = recipe.distill.training
    warmup = training.warmup_epochs * epochs / training.epochs
    short = training.model_copy(update={"epochs": epochs, "warmup_epochs": warmup})
    distill = recipe.distill.model_copy(update={"training": short, "finish": None, "control": False, "repeats": 1})
    return recipe.model_copy(update={"distill": distill})
