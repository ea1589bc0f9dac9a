"""What a fit costs: predicted before it starts, and from the measured trainings afterwards."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tfkd import machine
from tfkd.errors import counted
from tfkd.files import fingerprint, read_sealed, write_sealed
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import images_in_transfer_set
from tfkd.pipeline.fitting.candidates import Candidate
from tfkd.pipeline.fitting.files import Untrained, random_examples
from tfkd.recipe import Fit, Recipe

_TIMED_STEPS, _BATCH = 3, 32
_SECONDS_TO_START = 10.0  # of a training's process, and of tracing its network


@dataclass
class Speeds:
    """Seconds per image in the training of each candidate, on one core.

    Attributes:
        slope: seconds per multiply-add, from timed training steps.
        start: seconds per image of a network without multiply-adds, likewise.
        measured: seconds per image of finished trainings, by candidate.
    """

    slope: float
    start: float
    measured: dict[str, float] = field(default_factory=dict)

    def seconds(self, file: Untrained, images: int) -> float:
        """Returns the seconds of one training that shows so many images."""
        per_image = self.measured.get(file.name, self.start + self.slope * file.multiply_adds)
        return _SECONDS_TO_START + images * per_image


@dataclass(frozen=True)
class FitCost:
    """What is left to do.

    Attributes:
        measurements: of files.
        trainings: of the rounds and of the final runs.
        steps: of all trainings.
        seconds: of rounds and final trainings, without the teacher.
    """

    measurements: int
    trainings: int
    steps: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{counted(self.measurements, 'measurement')}, at most {counted(self.trainings, 'training')} of "
            f"{counted(self.steps, 'step')} together, about {counted(max(1, round(self.seconds / 60)), 'minute')}"
        )


def epochs_of(recipe: Recipe, settings: Fit) -> list[int]:
    """Returns the epochs of each round: of the last one the fraction `keep` of those of a whole training, and so on."""
    whole, rounds = recipe.distill.training.epochs, settings.rounds
    return [max(1, round(whole * settings.keep ** (rounds - number))) for number in range(rounds)]


def survivors(count: int, settings: Fit) -> int:
    """Returns how many of a round's candidates go on."""
    return min(count, max(settings.finalists, round(count * settings.keep)))


def predict(
    context: RunContext, settings: Fit, files: Sequence[Untrained], measurements: int, speeds: Speeds
) -> FitCost:
    """Returns the largest cost of what follows: of rounds in which the most expensive candidates go on.

    Args:
        context: of the run.
        settings: of the fit.
        files: of the candidates that learn.
        measurements: that are missing.
        speeds: of their trainings.
    """
    recipe = context.recipe
    left = sorted(files, key=lambda file: -file.multiply_adds)
    seconds, epochs, trainings = 0.0, 0, 0
    for each in epochs_of(recipe, settings):
        if len(left) <= settings.finalists:
            break
        seconds += side_by_side(speeds.seconds(file, each * _images(context)) for file in left)
        epochs += each * len(left)
        trainings += len(left)
        left = left[: survivors(len(left), settings)]
    final = left[: settings.finalists]
    copies = copies_of(recipe)
    whole = _whole(recipe)
    return FitCost(
        measurements=measurements,
        trainings=trainings + copies * len(final),
        steps=(epochs + copies * whole * len(final)) * _steps(context),
        seconds=seconds + final_seconds(context, final, speeds),
    )


def final_seconds(context: RunContext, files: Sequence[Untrained], speeds: Speeds) -> float:
    """Returns the seconds of the final trainings of some candidates."""
    recipe = context.recipe
    images, copies = _whole(recipe) * _images(context), copies_of(recipe)
    return sum(side_by_side([speeds.seconds(file, images)] * copies) for file in files)


def round_seconds(context: RunContext, file: Untrained, epochs: int, speeds: Speeds) -> float:
    """Returns the seconds of a candidate's training in a round, on one core."""
    return speeds.seconds(file, epochs * _images(context))


def copies_of(recipe: Recipe) -> int:
    """Returns the trainings of one final run: of the student and its control, once per seed."""
    return recipe.distill.repeats * (1 + recipe.distill.control)


def side_by_side(seconds: Iterable[float]) -> float:
    """Returns the duration of trainings that run at the same time, one per core."""
    found = list(seconds)
    return max([sum(found) / machine.cores(), *found]) if found else 0.0


def note(speeds: Speeds, context: RunContext, name: str, epochs: int, seconds: float) -> None:
    """Notes the speed of a finished training."""
    speeds.measured[name] = seconds / (epochs * _images(context))


def timed(context: RunContext, files: Sequence[Untrained]) -> Speeds:
    """Returns speeds from a few training steps of the cheapest and the most expensive of some candidates.

    They are kept, so that a continued fit does not time them again.
    """
    ordered = sorted((file for file in files if file.candidate), key=lambda file: (file.multiply_adds, file.name))
    ends = {file.multiply_adds: file for file in (ordered[0], ordered[-1])}
    names = [file.name for file in ends.values()]
    key = fingerprint(machine.processor(), machine.cores(), machine.libraries(), names)
    path = context.folder.fit / f"speed-{key}.json"
    if (kept := read_sealed(path)) is not None:
        return Speeds(kept["slope"], kept["start"])
    points = {cost: _seconds_per_image(context, file.candidate) for cost, file in ends.items() if file.candidate}
    found = _line(points)
    write_sealed(path, {"slope": found.slope, "start": found.start})
    return found


def _line(points: Mapping[int, float]) -> Speeds:
    (low, fast), (high, slow) = min(points.items()), max(points.items())
    slope = max(0.0, (slow - fast) / (high - low)) if high > low else 0.0
    return Speeds(slope, max(0.0, fast - slope * low))


def _seconds_per_image(context: RunContext, candidate: Candidate) -> float:
    """Times training steps of an untrained network on random examples; all cores together do one core's work faster."""
    context.start_tensorflow()
    import numpy as np

    from tfkd.distill.distiller import Distiller
    from tfkd.distill.losses.label import LabelLoss

    student = candidate.untrained(context)
    learner = Distiller(student, losses=[], label_weight=1.0)
    learner.compile("sgd", LabelLoss(0.0))
    examples = random_examples(context, student, _BATCH).astype(student.inputs[0].dtype)
    labels = np.random.default_rng(0).integers(0, len(context.data.classes), _BATCH)
    learner.train_on_batch(examples, labels)
    start = time.perf_counter()
    for _ in range(_TIMED_STEPS):
        learner.train_on_batch(examples, labels)
    return (time.perf_counter() - start) / (_TIMED_STEPS * _BATCH) * machine.cores()


def _whole(recipe: Recipe) -> int:
    """Returns the epochs of a final training."""
    return recipe.distill.training.epochs + (recipe.distill.finish.epochs if recipe.distill.finish else 0)


def _images(context: RunContext) -> int:
    return images_in_transfer_set(context.data)


def _steps(context: RunContext) -> int:
    """Returns the steps per epoch."""
    images = _images(context)
    return images // min(context.recipe.distill.training.batch_size, images)
