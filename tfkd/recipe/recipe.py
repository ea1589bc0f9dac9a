"""The whole recipe, and its smoke-test form."""

import itertools

from pydantic import Field, field_validator, model_validator

from tfkd import arguments
from tfkd.recipe.base import Block
from tfkd.recipe.bench import Bench
from tfkd.recipe.compress import WHY_NOT_OF_TEXTS, AnyCompression
from tfkd.recipe.cost import Cost
from tfkd.recipe.data import Augment, Data
from tfkd.recipe.distill import Distill, DistillOrAuto
from tfkd.recipe.export import Export
from tfkd.recipe.fit import Fit
from tfkd.recipe.gates import Gates
from tfkd.recipe.rejecting import require_rejection_of
from tfkd.recipe.student import OF_TEXTS, TREE, Student
from tfkd.recipe.teachers import Teacher
from tfkd.recipe.trees import require_for_trees

SMOKE = "--smoke"  # value of gates.switched_off_by in a shrunk recipe

_STUDENTS = {"text": OF_TEXTS, "table": TREE}  # by default, by kind of data

OVERRIDES = "texts such as 'distill.views=4', one argument each"

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"  # of a run and its bundle: safe in every path


class Recipe(Block):
    """One run, from labelled examples to an app-ready folder."""

    name: str = Field(pattern=NAME, description="name of the run and of the bundle")
    data: Data
    teachers: list[Teacher] = Field(min_length=1, description="one teacher, or an ensemble of several")
    student: Student = Student()
    distill: DistillOrAuto = Field(Distill(auto=True), description="or auto: a run chooses all settings")
    compress: list[AnyCompression] = Field([], description="compressions of the trained student, in this order")
    export: Export = Export()
    bench: Bench = Bench()
    gates: Gates = Gates()
    cost: Cost = Cost()
    fit: Fit | None = Field(None, description="candidates and budget of `tfkd fit`; `tfkd run` ignores it")
    imports: list[str] = Field([], description="modules that register custom layers; imported before models are loaded")
    seed: int = Field(1, ge=0, lt=2**31, description="seed of everything random")

    def with_(self, *overrides: str) -> "Recipe":
        """Returns this recipe with other values, validated.

        Args:
            overrides: `key.path=value`, as on the command line; a number steps into a list.

        Raises:
            RequestError: a field is unknown or has a wrong value.

        Example:
            >>> recipe.with_("distill.views=4", "student.width=0.5")
        """
        from tfkd.recipe.files import overridden, parse, values_of

        changes = arguments.texts("overrides", overrides, OVERRIDES)
        return parse(overridden(values_of(self), changes), f"the recipe {self.name!r}")

    @property
    def teacher_views(self) -> Augment:
        """The views whose teacher predictions are stored."""
        return self.data.augment.unmixed if self.distill.targets == "image" else self.data.augment

    def stored_views(self, teacher: Teacher) -> int:
        """Returns the number of views per image whose predictions by a teacher are stored: one from a file."""
        return 1 if teacher.predictions else self.distill.views

    @model_validator(mode="after")
    def _usual_student(self) -> "Recipe":
        """Names the default student of texts and tables; that of images is the default of its block."""
        usual = _STUDENTS.get(self.data.kind)
        if usual and "model" not in self.student.model_fields_set:
            self.__dict__["student"] = self.student.model_copy(update={"model": usual})
        return self

    @model_validator(mode="after")
    def _trees_read_the_rest(self) -> "Recipe":
        require_for_trees(self.student, self.distill, self.export, self.data)
        return self

    @model_validator(mode="after")
    def _teachers_take_the_data(self) -> "Recipe":
        for teacher in self.teachers:
            if self.data.kind != "text" and (teacher.is_bert or teacher.vocabulary or teacher.tokens):
                raise ValueError(f"{teacher.name} takes texts, and {self.data.source} is of kind {self.data.kind!r}")
        return self

    @model_validator(mode="after")
    def _predictions_fit(self) -> "Recipe":
        files = [teacher.predictions for teacher in self.teachers if teacher.predictions]
        is_open = self.distill.auto and "targets" not in self.distill.model_fields_set
        if files and self.distill.targets != "image" and not is_open:
            raise ValueError(f"{files[0]} has one prediction per example; set distill.targets='image'")
        if files and self.distill.teacher_taps:
            tap = self.distill.teacher_taps[0]
            raise ValueError(f"{files[0]} has predictions alone, no feature {tap!r}; use losses on logits")
        return self

    @model_validator(mode="after")
    def _fits_domains(self) -> "Recipe":
        teacher = next((each for each in self.teachers if each.domain is not None), None)
        if teacher is None:
            return self
        if self.distill.teacher_taps:
            tap = self.distill.teacher_taps[0]
            raise ValueError(
                f"{teacher.name} has no feature {tap!r} of examples outside of its domain {teacher.domain!r}; use "
                "losses on logits and no distill.features, or leave domain out"
            )
        if self.teacher_views.mix != "none":
            raise ValueError(
                f"mixed views are of two images, which may be of different domains, and {teacher.name} knows one of "
                "them; set distill.targets=image or data.augment.mix=none"
            )
        return self

    @model_validator(mode="after")
    def _fits_folds(self) -> "Recipe":
        folds = self.data.folds
        if folds is None:
            return self
        if self.compress:
            raise ValueError(f"data.folds={folds} measures the student as it was trained; leave compress out")
        if self.distill.training.patience is not None:
            raise ValueError(
                f"data.folds={folds} trains the student that ships on all examples, and leaves no validation examples "
                "for distill.training.patience; set it to null"
            )
        if self.gates.min_recall and self.export.thresholds:
            raise ValueError(
                f"gates.min_recall needs validation examples for its thresholds, and data.folds={folds} leaves none; "
                "set export.thresholds=false"
            )
        tuned = next((teacher.name for teacher in self.teachers if teacher.is_tuned), None)
        if tuned and folds < 3:
            raise ValueError(f"data.folds={folds} leaves {tuned} no examples to be fine-tuned on; set 3 or more")
        if tuned and self.teacher_views.mix != "none":
            raise ValueError(
                f"data.folds={folds} needs soft labels of examples that {tuned} was not fine-tuned on, and mixed views "
                "are of two images; set distill.targets=image or data.augment.mix=none"
            )
        return self

    @model_validator(mode="after")
    def _fits_rejection(self) -> "Recipe":
        require_rejection_of(self.export, self.gates, self.data, [block.kind for block in self.compress])
        return self

    @model_validator(mode="after")
    def _compresses_images(self) -> "Recipe":
        if self.compress and self.data.kind == "text":
            raise ValueError(f"compress={self.compress[0].kind}: {WHY_NOT_OF_TEXTS}; leave it out")
        if self.compress and self.student.is_tree:
            raise ValueError(
                f"compress={self.compress[0].kind}: a tree is made smaller by student.max_depth; leave it out"
            )
        return self

    @field_validator("compress")
    @classmethod
    def _in_order(cls, value: list[AnyCompression]) -> list[AnyCompression]:
        order = ["prune", "cluster", "qat"]
        places = [order.index(block.kind) for block in value]
        if any(later <= earlier for earlier, later in itertools.pairwise(places)):
            raise ValueError(
                "list each kind at most once, in the order prune, cluster, qat, so that no step undoes an earlier one"
            )
        return value


def shrunk(recipe: Recipe) -> Recipe:
    """Returns the recipe as a smoke test: every stage, on a few images and for one epoch, in about a minute.

    The quality gates are switched off, because little is learnt in a minute; the bundle lists them as not judged.
    The name ends in `-smoke`.
    """
    values = recipe.model_dump(mode="json")
    values["name"] = f"{recipe.name}-smoke"[:64]
    values["data"] |= {"fraction": min(recipe.data.fraction, 0.05), "unlabelled": None, "outside": None}
    values["data"] |= {"folds": None, "held_out": []}  # a fraction has too few images of a class for them
    values["distill"] |= {"views": 1, "repeats": 1}
    trained = [] if recipe.student.is_tree else ["training"]
    for training in (*trained, *(["finish"] if values["distill"].get("finish") else [])):
        values["distill"][training] = {**values["distill"].get(training, {}), "epochs": 1}
    for compression in values["compress"]:
        compression["training"]["epochs"] = 1
    values["export"]["calibration_images"] = 20
    values["bench"] = {"runs": 5, "warmup": 1}
    values["gates"] = {
        "better_than_chance": False,
        "not_worse_than_control": False,
        "diagnosis": False,
        "min_relative_accuracy": None,
        "max_accuracy_drop": None,
        "min_agreement": None,
        "min_float_agreement": None,
        "switched_off_by": SMOKE,
    }
    for teacher in values["teachers"]:
        teacher["domain"] = None  # of which a fraction may have no examples
        if teacher["fine_tune"]:
            teacher["fine_tune"] |= {name: min(teacher["fine_tune"][name], 1) for name in ("epochs", "head_epochs")}
    return Recipe.model_validate(values)
