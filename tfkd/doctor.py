"""Looks a recipe over before hours are spent on it: what would fail, and what usually disappoints."""

import functools
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfkd import machine
from tfkd.data import ImageData
from tfkd.errors import TfkdError
from tfkd.models import build_student, build_teacher
from tfkd.recipe import FeatureLoss, Recipe, SoftTargets

FREE_BYTES = 2 * 1024**3
MOST_TIMES = 5  # that a student may see a view


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; an error would stop the run, a warning would spoil it."""

    level: Literal["ok", "warning", "error"]
    text: str


def examine(recipe: Recipe, data: ImageData, runs: Path) -> Iterator[Finding]:
    """Yields what is found about the machine, the data, the models and the settings, in that order."""
    yield from _machine(runs)
    yield from _data(data)
    yield from _models(recipe, data.classes)
    yield from _settings(recipe, data)


def _machine(runs: Path) -> Iterator[Finding]:
    yield Finding("ok", f"{machine.cores()} cores of {machine.processor()}")
    existing = next(folder for folder in (runs.absolute(), *runs.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    level: Literal["ok", "warning"] = "ok" if free > FREE_BYTES else "warning"
    yield Finding(level, f"{free / 1024**3:.1f} GiB free for {runs}")


def _data(data: ImageData) -> Iterator[Finding]:
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    yield Finding("ok", f"{data.source}: {len(data.train):,} training images of {len(data.classes)} classes")
    rare = int(counts.argmin())
    if counts[rare] * 10 < counts.max():
        commonest = data.classes[int(counts.argmax())]
        yield Finding(
            "warning", f"class {data.classes[rare]!r} has {counts[rare]} training images, {commonest!r} {counts.max()}"
        )
    if data.rejected:
        yield Finding("warning", f"{len(data.rejected)} files cannot be decoded, the first is {data.rejected[0]}")


def _models(recipe: Recipe, names: Sequence[str]) -> Iterator[Finding]:
    classes, seed, taps = len(names), recipe.seed, recipe.distill.teacher_taps
    networks: list[tuple[str, Callable[[], Any], list[str]]] = [
        ("teacher", functools.partial(build_teacher, teacher, classes, seed, names), taps)
        for teacher in recipe.teachers
    ]
    own = [loss.student_tap for loss in recipe.distill.losses if isinstance(loss, FeatureLoss)]
    for name, student in [*(("assistant", it) for it in recipe.distill.assistants), ("student", recipe.student)]:
        build = functools.partial(build_student, student, recipe.data.image_size, classes, seed)
        networks.append((name, build, own if name == "student" else [*own, *taps]))
    sizes: dict[str, int] = {}
    for name, make, wanted in networks:
        try:
            model = make()
            _tap(model, wanted)
        except TfkdError as error:
            yield Finding("error", str(error))
            continue
        sizes[name] = max(sizes.get(name, 0), model.count_params())
        yield Finding(
            "ok", f"{name} {model.name}: {model.count_params():,} parameters, input {model.input_shape[1]} px"
        )
    if recipe.distill.generations == 1 and sizes.get("student", 0) >= sizes.get("teacher", math.inf):
        yield Finding(
            "warning", "the student is not smaller than its teacher; self-distillation is distill.generations=2"
        )


def _tap(model: Any, taps: list[str]) -> None:
    from tfkd.distill.taps import tapped

    tapped(model, taps)


def _settings(recipe: Recipe, data: ImageData) -> Iterator[Finding]:
    distill = recipe.distill
    if any(isinstance(loss, SoftTargets) and loss.temperature == 1 for loss in distill.losses):
        yield Finding("warning", "temperature 1 hides what the teacher knows about wrong classes; 2 to 8 is usual")
    times = distill.training.epochs / distill.views
    if distill.targets == "view" and times > MOST_TIMES:
        yield Finding(
            "warning",
            f"every stored view is seen {times:.0f} times: a student learns them by heart, and its control, which sees "
            f"new ones, comes out ahead; set distill.views={math.ceil(distill.training.epochs / MOST_TIMES)} or "
            "distill.targets=image",
        )
    steps = distill.training.epochs * (len(data.train) // distill.training.batch_size)
    if steps * (1 - recipe.student.batch_norm_momentum) < 5:
        yield Finding(
            "warning",
            f"batch_norm_momentum {recipe.student.batch_norm_momentum} needs more than this training's {steps} steps",
        )
    if not distill.control:
        yield Finding("warning", "without the control nobody can tell whether the teacher helped")
