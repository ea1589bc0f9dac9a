"""Predicts how long claims take, from the images that their trainings show.

The rates are of two cores of an AMD EPYC with AVX-512; those of students are in docs/evidence (distill_cifar10.json,
distill_clothing_fifth.json).
"""

from collections.abc import Iterator

from claim_laboratory import Laboratory, stores_of
from claim_table import Arm, Claim

from tfkd import machine
from tfkd.files import fingerprint
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.stages.data import open_data
from tfkd.recipe import Recipe, Teacher
from tfkd.recipe.networks import chain, seeds

# Milliseconds per image: of a MobileNetV3-Small 0.75 on one core, by the side of its input, and of a teacher on all.
_STUDENT = {32: 0.70, 64: 0.93}
_TEACHER = 1.0
_TUNING = 3.0  # an image of the fine-tuning / one of a prediction
_START = 10.0  # seconds of a training's process before its first step
_AFTERWARDS = {"corruptions": 90.0, "memory": 100.0}  # seconds per seed: compressions, exports and measurements

Work = tuple[str, float]  # a fingerprint that equal work shares, and its seconds with all cores


class Costs:
    """Predicts claims one after the other; work that an earlier claim shares costs nothing."""

    def __init__(self, lab: Laboratory) -> None:
        self._lab = lab
        self._known: set[str] = set()
        self._counted: dict[str, tuple[int, int]] = {}

    def seconds(self, claim: Claim) -> float:
        """Returns the predicted seconds of a claim."""
        total = _AFTERWARDS.get(claim.measure, 0.0) * self._lab.seeds
        for arm in claim.arms.values():
            for key, seconds in self._works(arm, "run" if claim.measure in _AFTERWARDS else "sweep"):
                total += 0.0 if key in self._known else seconds
                self._known.add(key)
        return total

    def _works(self, arm: Arm, command: str) -> Iterator[Work]:
        recipe = self._lab.recipe(arm)
        labelled, images = self._images(recipe)
        if arm.teacher is None:
            yield from self._tunings(recipe, labelled)
        else:
            yield from self._replaced(*arm.teacher, command)
        taught, views = fingerprint(stores_of(recipe), arm.teacher), recipe.distill.views
        parts = [_part(teacher, recipe) for teacher in recipe.teachers] + [1.0] * len(chain(recipe))
        for number, part in enumerate(parts):
            yield fingerprint("store", taught, number, views), part * images * views * 0.001 * _TEACHER
        yield from self._trainings(recipe, images, taught, command)

    def _replaced(self, part: str, base: str, command: str) -> Iterator[Work]:
        """Yields the work behind a network that replaces the teachers."""
        if part == "control":
            yield from self._works(Arm(base), command)
        else:
            recipe = self._lab.recipe(Arm(base))
            yield from self._tunings(recipe, self._images(recipe)[0])

    def _tunings(self, recipe: Recipe, labelled: int) -> Iterator[Work]:
        for teacher in recipe.teachers:
            epochs = teacher.fine_tune.epochs if teacher.fine_tune else 0
            key = fingerprint("teacher", recipe.data.model_dump(mode="json"), teacher.model_dump(mode="json"))
            yield key, _part(teacher, recipe) * labelled * (1 + _TUNING * epochs) * 0.001 * _TEACHER

    def _trainings(self, recipe: Recipe, images: int, taught: str, command: str) -> Iterator[Work]:
        distill = recipe.distill
        shown = images * distill.training.epochs
        side = min(_STUDENT, key=lambda size: abs(size - recipe.data.image_size))
        seconds = (_START + shown * 0.001 * _STUDENT[side]) / machine.cores()
        student = recipe.student.model_dump(mode="json")
        control = [recipe.data.model_dump(mode="json"), student, distill.training.model_dump(), distill.precision]
        settings = distill.model_dump(mode="json") | {"repeats": 1, "control": True}
        for number in range(len(chain(recipe))):
            yield fingerprint("assistant", taught, number), seconds
        for seed in seeds(recipe):
            yield fingerprint(command, "student", taught, student, settings, seed), seconds
            if distill.control:
                yield fingerprint(command, "control", control, seed), seconds

    def _images(self, recipe: Recipe) -> tuple[int, int]:
        """Returns the number of labelled training images, and of all in the transfer set."""
        key = recipe.data.model_dump_json(include={"source", "fraction", "unlabelled"})
        if key not in self._counted:
            data = open_data(recipe, RunFolder(self._lab.runs / recipe.name), self._lab.progress)
            self._counted[key] = len(data.train), len(data.train) + len(data.unlabelled or ())
        return self._counted[key]


def _part(teacher: Teacher, recipe: Recipe) -> float:
    """Returns which part of the images a teacher predicts; the domains of a recipe are of equal size."""
    return 1.0 if teacher.domain is None else 1 / len(recipe.teachers)
