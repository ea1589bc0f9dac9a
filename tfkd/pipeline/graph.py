"""Which stages a recipe has, in their order, and what the result of each depends on. No other module knows the order.

data → teacher → soft_labels → (assistant → assistant_labels →) control, student → (compress →) export → verify → bench
→ report

With several teachers, or several assistants in a row, each further one has a folder of its own: `teacher-2`, ….
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.data import REST, Dataset, Split
from tfkd.data.check import content
from tfkd.data.folder import paired
from tfkd.files import fingerprint
from tfkd.pipeline.contents import files_of
from tfkd.pipeline.stage import Stage
from tfkd.recipe import Recipe, Student, Teacher
from tfkd.recipe.names import numbered
from tfkd.version import __version__
from tfkd.writers import card_of

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

# Raise a stage's number when its code gives other results: finished stages of older code are then done again.
CODE = dict.fromkeys(STAGES, 4) | dict.fromkeys(("teacher", "assistant", "control", "student"), 5)
CODE |= {"data": 1, "compress": 2, "export": 5, "verify": 7, "bench": 3, "report": 10}
CODE["diagnosis"] = 1  # of a teacher that predicts wrongly: kept beside its stage
# Stores and trainings, which cost hours. A store is filled further anywhere; a training is only continued with as many
# cores and the same libraries as it was begun with.
KEPT = ("teacher", "soft_labels", "assistant", "assistant_labels", "control", "student", "compress")
_PRODUCTS = {
    "soft_labels": "store",
    "assistant_labels": "store",
    "compress": "compressed student",
    "verify": "verification",
    "bench": "benchmark",
}


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


def conditions() -> dict[str, str]:
    """Returns what must be the same for an unfinished training to be continued: the last digits hang on it."""
    return {**machine.libraries(), "cores": str(machine.cores())}


def stages_of(recipe: Recipe, data: Dataset, folder: Path) -> dict[str, Stage]:
    """Returns every stage after `data`, in order, each with all that its result depends on.

    What takes long, stores and trainings, is kept under its fingerprint, so that other settings make another one beside
    it. What is made of them within minutes has one folder per stage.

    Raises:
        RequestError: a file that the recipe names is missing or unreadable.
    """
    asked = recipe.model_dump(mode="json")
    distill, augment = asked["distill"], asked["data"]["augment"]
    inputs = _Inputs(recipe, data, folder / STAGES[0])
    shown = {
        **_named("data", {"image_size": recipe.data.image_size, "augment": augment}),
        **_named("distill", {"training": distill["training"], "precision": distill["precision"]}),
        "number of unlabelled images": len(data.unlabelled or ()),
    }
    learnt = _named("distill", {name: distill[name] for name in ("losses", "label_weight", "targets")})
    learnt |= _named("teachers", [{"share": teacher.share} for teacher in recipe.teachers])
    found: dict[str, Stage] = {}

    def add(stage: str, before: list[str], *own: dict[str, Any], growing: dict[str, int] | None = None) -> str:
        """Adds a stage with its own inputs beside those of the stages before it; `growing` ones may be continued."""
        kind = kind_of(stage)
        inputs = _joined(*(found[name].inputs for name in before), {f"version of {stage}": CODE[kind]}, *own)
        base = fingerprint(stage, inputs)
        place = folder / stage / base if kind in KEPT else folder / stage
        needed = conditions() if kind in KEPT and not is_store(stage) else {}
        found[stage] = Stage(place, base, inputs, _PRODUCTS.get(kind, kind), growing, needed, stage)
        return stage

    def add_store(stage: str, network: str, modality: str) -> str:
        views = {"augment": recipe.asked_views.model_dump(mode="json")}
        taps = {"features": recipe.distill.teacher_taps}
        own = [_named("data", views), _named("distill", taps), inputs.unlabelled(modality)]
        return add(stage, [network], *own, growing={"distill.views": recipe.distill.views})

    stores = []
    for number, teacher in enumerate(recipe.teachers):
        settings = _named(f"teachers.{number}", asked["teachers"][number])
        own = [inputs.labelled(), inputs.unmixed(), settings, inputs.files(teacher)]
        trained = add(numbered("teacher", number), [], *own)
        stores.append(add_store(numbered("soft_labels", number), trained, teacher.modality))
    for number, assistant in enumerate(chain(recipe)):
        settings = _named(f"assistants.{number}", assistant.model_dump(mode="json"))
        own = [settings, inputs.files(assistant), inputs.unlabelled(assistant.modality), shown, learnt]
        trained = add(numbered("assistant", number), stores, *own)
        stores = [add_store(numbered("assistant_labels", number), trained, assistant.modality)]
    network = _joined(
        _named("student", asked["student"]), inputs.files(recipe.student), shown, {"seeds": seeds(recipe)}
    )
    add("control", [], inputs.labelled(), network, {"distill.control": recipe.distill.control})
    shipped = add("student", stores, network, inputs.unlabelled(recipe.student.modality), learnt)
    if recipe.compress:
        shipped = add("compress", [shipped], _named("compress", asked["compress"]))
    card = asdict(card_of(asked, data.classes, data.fingerprint))
    add("export", [shipped], _named("export", asked["export"]), _named("description", card))
    add("verify", ["export"])
    add(
        "bench",
        ["export"],
        _named("bench", asked["bench"]),
        {"processor": machine.processor(), "cores": machine.cores()},
    )
    versions = {"version of tfkd": __version__, "version of the diagnosis": CODE["diagnosis"]}
    add("report", ["control", "verify", "bench"], _named("", asked), versions)
    return found


@dataclass(frozen=True)
class _Inputs:
    """The contents that a run is made from, each by the name that messages use.

    Attributes:
        recipe: names the files.
        data: the images.
        kept: folder that keeps digests of images.
    """

    recipe: Recipe
    data: Dataset
    kept: Path

    def labelled(self) -> dict[str, Any]:
        """Returns what training, validation and test images are, and the seed that divides them."""
        return {self.recipe.data.source: self.data.labelled, "seed": self.recipe.seed}

    def unmixed(self) -> dict[str, Any]:
        """Returns the settings of views of one image each."""
        return _named("data", {"augment": self.recipe.data.augment.unmixed.model_dump(mode="json")})

    def files(self, network: Teacher | Student) -> dict[str, Any]:
        """Returns what a network is built from: its files, and its images paired with the labelled ones."""
        splits = (self.data.train, self.data.validation, self.data.test)
        return {**files_of(network), **self._paired(network.modality, splits, "")}

    def unlabelled(self, modality: str) -> dict[str, Any]:
        """Returns what the unlabelled images are, as a network of this modality sees them."""
        source, images = self.recipe.data.unlabelled, self.data.unlabelled
        if source is None or images is None:
            return {"data.unlabelled": source}
        own = {} if source == REST else {source: content(images, self.kept)}
        return {"data.unlabelled": source, **own, **self._paired(modality, (images,), " (of unlabelled images)")}

    def _paired(self, modality: str, splits: tuple[Split, ...], note: str) -> dict[str, Any]:
        kind, _, path = modality.partition(":")
        if kind != "folder":
            return {}
        return {path + note: fingerprint([content(paired(split, path), self.kept) for split in splits])}


def _joined(*inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for each in inputs for name, value in each.items()}


def _named(path: str, value: Any) -> dict[str, Any]:
    """Returns the settings in a part of a recipe by their dotted paths."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if not parts:
        return {path: value}
    return _joined(*(_named(f"{path}.{name}".lstrip("."), part) for name, part in parts))


def seeds(recipe: Recipe) -> list[int]:
    return [recipe.seed + repeat for repeat in range(recipe.distill.repeats)]
