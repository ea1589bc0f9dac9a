"""Which stages a recipe has, in their order, and what the result of each depends on. No other module knows the order.

data → teacher → soft_labels → (assistant → assistant_labels →) control, student → (compress →) export → verify → bench
→ report

With several teachers, or several assistants in a row, each further one has a folder of its own: `teacher-2`, ….
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import tfkd
from tfkd import machine
from tfkd.data import ImageData
from tfkd.export import card_of
from tfkd.files import fingerprint
from tfkd.recipe import Recipe, Student
from tfkd.stages import Stage

STAGES = (
    "data",
    "teacher",
    "soft_labels",
    "assistant",
    "assistant_labels",
    "control",
    "student",
    "compress",
    "export",
    "verify",
    "bench",
    "report",
)

# Raise a stage's number when its code gives other results: finished stages of older code are then made anew.
CODE = dict.fromkeys(STAGES, 4) | {"data": 1, "compress": 2, "bench": 2, "report": 2}


def numbered(kind: str, number: int) -> str:
    """Returns the name of the stage of teacher or assistant number 0, 1, …"""
    return f"{kind}-{number + 1}" if number else kind


def number_of(stage: str) -> int:
    """Returns the number in a stage's name, from 0 on."""
    return int(stage.partition("-")[2] or 1) - 1


def kind_of(stage: str) -> str:
    """Returns which of STAGES a stage's name belongs to."""
    return stage.partition("-")[0]


def is_store(stage: str) -> bool:
    """Tells whether a stage keeps the answers of a network."""
    return kind_of(stage).endswith("_labels")


def chain(recipe: Recipe) -> list[Student]:
    """Returns the networks between the teachers and the student, in order: assistants, then earlier generations."""
    return [*recipe.distill.assistants, *[recipe.student] * (recipe.distill.generations - 1)]


def stages_of(recipe: Recipe, data: ImageData, folder: Path) -> dict[str, Stage]:
    """Returns every stage after `data`, in order; its fingerprint is of its recipe part, inputs, code and libraries."""
    described = recipe.model_dump(mode="json")
    distill, augment = described["distill"], described["data"]["augment"]
    unlabelled = data.unlabelled and len(data.unlabelled)
    shown = [recipe.data.image_size, augment, distill["training"], distill["precision"], unlabelled, machine.cores()]
    learnt = [
        distill["losses"],
        distill["label_weight"],
        distill["targets"],
        [teacher.share for teacher in recipe.teachers],
    ]
    taps = recipe.distill.teacher_taps
    unmixed = recipe.data.augment.unmixed.model_dump(mode="json")
    found: dict[str, Stage] = {}

    def add(stage: str, *inputs: Any) -> str:
        digits = fingerprint(stage, CODE[kind_of(stage)], machine.libraries(), *inputs)
        found[stage] = Stage(folder / stage, digits)
        return digits

    def add_store(stage: str, teacher: str) -> str:
        asked = [teacher, recipe.asked_views.model_dump(mode="json"), unlabelled, taps]
        digits = add(stage, *asked, recipe.distill.views)
        base = fingerprint(stage, CODE[kind_of(stage)], *asked)  # without the number of views: more are added to it
        found[stage] = Stage(folder / stage, digits, base)
        return digits

    stores = []
    for number, teacher in enumerate(described["teachers"]):
        trained = add(numbered("teacher", number), data.fingerprint, teacher, unmixed, recipe.seed)
        stores.append(add_store(numbered("soft_labels", number), trained))
    for number, assistant in enumerate(chain(recipe)):
        trained = add(numbered("assistant", number), stores, assistant.model_dump(mode="json"), shown, learnt)
        stores = [add_store(numbered("assistant_labels", number), trained)]
    network = [described["student"], shown, seeds(recipe)]
    control = add("control", data.fingerprint, network, distill["control"])
    student = add("student", stores, network, learnt)
    shipped = add("compress", student, described["compress"]) if recipe.compress else student
    exported = add("export", shipped, described["export"], asdict(card_of(described, data.classes, data.fingerprint)))
    verified = add("verify", exported)
    timed = add("bench", exported, described["bench"], machine.processor(), machine.cores())
    add("report", control, verified, timed, described, tfkd.__version__)
    return found


def seeds(recipe: Recipe) -> list[int]:
    return [recipe.seed + repeat for repeat in range(recipe.distill.repeats)]
