"""What a student gained over its control in measurements, by the number of labels: what a recipe can expect.

Every row is copied from a file of docs/evidence, which holds its command; a test compares them.
"""

import math
from dataclasses import dataclass

from tfkd.data import Dataset
from tfkd.recipe import Recipe


@dataclass(frozen=True)
class Setting:
    """What a gain depends on most.

    Attributes:
        labels: labelled training examples per class.
        unlabelled: examples without a label, per labelled one.
        trained: whether the student starts from trained weights.
        kind: of the input.
    """

    labels: float
    unlabelled: float
    trained: bool
    kind: str = "image"

    def distance(self, other: "Setting") -> float:
        """Returns how different two settings are but for the weights; a factor of e in the labels counts 1."""
        return abs(math.log(self.labels / other.labels)) + 2 * (bool(self.unlabelled) != bool(other.unlabelled))


@dataclass(frozen=True)
class MeasuredGain:
    """A gain over the control.

    Attributes:
        setting: where it was measured.
        student: what was trained, on what.
        points: mean gain of the test accuracy, in points.
        error: its standard error over the seeds; None with one seed.
        evidence: file in docs/evidence, without its suffix.
    """

    setting: Setting
    student: str
    points: float
    error: float | None
    evidence: str


MEASURED = (
    MeasuredGain(Setting(10, 29.7, True), "MobileNetV2 on clothing", 10.8, 3.1, "auto_ten"),
    MeasuredGain(Setting(18, 0, True), "SqueezeNet 1.1 on clothing", 9.8, None, "few_photos"),
    MeasuredGain(Setting(36, 0, True), "SqueezeNet 1.1 on five kinds of clothing", 1.8, None, "readme_200"),
    MeasuredGain(Setting(61, 4, False), "MobileNetV3-Small on clothing", 23.1, 1.2, "distill_clothing_fifth"),
    MeasuredGain(Setting(108, 4, False), "MobileNetV3-Small on Fashion-MNIST", 3.7, 0.9, "quickstart"),
    MeasuredGain(Setting(307, 0, True), "MobileNetV2 on clothing", 0.6, 0.9, "auto_all"),
    MeasuredGain(Setting(307, 0, True), "SqueezeNet 1.1 on clothing", 1.7, 0.8, "clothing"),
    MeasuredGain(Setting(307, 0, False), "MobileNetV3-Small on clothing", 2.2, 1.1, "distill_clothing_patient"),
    MeasuredGain(Setting(900, 0, False), "MobileNetV3-Small on CIFAR-10", 1.4, 0.3, "distill_cifar10"),
)


def setting_of(recipe: Recipe, data: Dataset) -> Setting:
    """Returns the setting of a recipe whose student's weights are known."""
    labelled = max(1, len(data.train))
    unlabelled = len(data.unlabelled or ()) / labelled
    return Setting(labelled / len(data.classes), unlabelled, not recipe.student.is_random, data.kind.name)


def expected_gain(setting: Setting) -> str:
    """Returns what the most similar measurement gained, as a sentence.

    Only students that start from the same kind of weights are compared: random ones gain several times as much.
    """
    start = (setting.kind, setting.trained)
    comparable = [each for each in MEASURED if (each.setting.kind, each.setting.trained) == start]
    if not comparable:
        return f"{_described(setting)}. No measurement tells the gain over the control of a model of {setting.kind}"
    found = min(comparable, key=lambda each: each.setting.distance(setting))
    error = f" ± {found.error:g}" if found.error is not None else ""
    return (
        f"{_described(setting)}. The most similar measurement ({found.student}: {_described(found.setting)}) gained "
        f"{found.points:+g}{error} points over its control: docs/evidence/{found.evidence}.json"
    )


def _described(setting: Setting) -> str:
    unlabelled = f"{setting.unlabelled:.2g} times as many unlabelled" if setting.unlabelled else "none unlabelled"
    start = "trained" if setting.trained else "random"
    return f"{setting.labels:.0f} labels per class, {unlabelled}, {start} initial weights"
