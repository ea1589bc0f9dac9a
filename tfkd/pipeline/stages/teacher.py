"""The teacher stages: networks that are fine-tuned or used unchanged, then frozen and measured."""

from typing import Any, Literal

from tfkd.data import Dataset
from tfkd.data.domains import membership, splits_of, within
from tfkd.errors import RequestError
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import TEST_LOGITS, VALIDATION_LOGITS
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources, settings
from tfkd.pipeline.stages.checks import check_networks
from tfkd.pipeline.stages.cross_fitting import in_order, parts_with_teacher
from tfkd.recipe import Recipe
from tfkd.teachers import KINDS, PreparedTeacher, TeacherKind
from tfkd.training.job import TeacherJob, TeacherResult


def prepared(context: RunContext, number: int) -> PreparedTeacher:
    """Returns a finished teacher; of a teacher without each fold in turn the first, which has the size of all."""
    if is_in_folds(context.recipe, number):
        return prepared(context.part([0]), number)
    kind = kind_in(context, number)
    file = context.folder_of(TEACHER, number) / kind.file
    return PreparedTeacher(kind.name, file, context.recipe.teachers[number], context.data.classes)


def is_in_folds(recipe: Recipe, number: int) -> bool:
    """Returns whether a teacher consists of several, each without one fold, that predict the images of this fold."""
    return recipe.data.is_pooled and recipe.teachers[number].is_tuned


def kind_in(context: RunContext, number: int) -> TeacherKind:
    """Returns the kind of a finished teacher."""
    return KINDS[context.result(TEACHER, number).kind]


def data_of(context: RunContext, number: int) -> Dataset:
    """Returns the images that a teacher knows, in its rendering."""
    teacher = context.recipe.teachers[number]
    return within(context.data_for(teacher.rendering), context.data, teacher.domain)


def membership_on_test(context: RunContext, number: int) -> Any:
    """Returns whether a teacher knows each test image, bool [n]."""
    return membership(context.data.test, context.recipe.teachers[number].domain)


def logits_on_test(context: RunContext, number: int) -> Any:
    """Returns a finished teacher's logits of the test images that it knows, float32 [n, classes]; None without any."""
    return _stored_logits(context, number, TEST_LOGITS)


def ensemble_logits(context: RunContext, split: Literal["test", "validation"] = "test") -> Any:
    """Returns the ensemble's logits on a split, float32 [n, classes]; the teachers must be finished.

    None where a teacher was not measured there.
    """

    from tfkd.distill.ensemble import placed, together

    teachers, file = context.recipe.teachers, TEST_LOGITS if split == "test" else VALIDATION_LOGITS
    logits = [_stored_logits(context, number, file) for number in range(len(teachers))]
    if any(each is None for each in logits):
        return None
    weights = [teacher.share for teacher in teachers]
    if all(teacher.domain is None for teacher in teachers):
        return together(logits, weights)
    members = [membership(getattr(context.data, split), teacher.domain) for teacher in teachers]
    return together([placed(*each) for each in zip(logits, members, strict=True)], weights, members)


def _stored_logits(context: RunContext, number: int, file: str) -> Any:
    import numpy as np

    path = context.folder_of(TEACHER, number) / file
    return np.load(path, allow_pickle=False) if path.is_file() else None


def ensemble_accuracy(context: RunContext) -> float | None:
    """Returns the ensemble's test accuracy, 0 to 1, if it was measured; the teachers must be finished."""
    from tfkd.distill.measures import accuracy

    logits = ensemble_logits(context)
    return None if logits is None else accuracy(logits, context.data.test.labels)


def validation_accuracy(context: RunContext) -> float | None:
    """Returns the validation accuracy of the best teacher, or of teachers with domains the mean per image.

    None where no teacher was measured, or one with a domain was not.
    """
    import numpy as np

    teachers = context.recipe.teachers
    found = [context.result(TEACHER, number).validation_accuracy for number in range(len(teachers))]
    measured = [each for each in found if each is not None]
    if all(teacher.domain is None for teacher in teachers):
        return max(measured, default=None)
    images = [int(membership(context.data.validation, teacher.domain).sum()) for teacher in teachers]
    return float(np.average(measured, weights=images)) if len(measured) == len(found) else None


def measured_accuracy(context: RunContext) -> float:
    """Returns the ensemble's test accuracy, 0 to 1, for what is compared with it.

    Raises:
        RequestError: a teacher was not measured.
    """
    found = ensemble_accuracy(context)
    if found is None:
        raise RequestError("The teacher was not measured on the test examples; add its predictions of all of them.")
    return found


def ensemble_agreement(context: RunContext, top1: Any) -> float | None:
    """Returns the fraction of test images, 0 to 1, with the same class as the ensemble's, if it was measured.

    Args:
        context: of the run.
        top1: predicted classes of the test images, int [n].
    """
    logits = ensemble_logits(context)
    return None if logits is None else float((top1 == logits.argmax(axis=1)).mean())


def _inputs(sources: Sources, number: int) -> Inputs:
    teacher = sources.recipe.teachers[number]
    own = {
        **sources.labelled(),
        **(sources.unlabelled(teacher.rendering) if teacher.predictions else {}),
        **sources.unmixed(),
        **settings(f"teachers.{number}", sources.recipe_json["teachers"][number]),
        **sources.files(teacher),
        **sources.columns(),
        **sources.domain(number, unlabelled=teacher.predictions is not None),
    }
    return Inputs(own)


def _work(context: RunContext, number: int) -> TeacherResult:
    context.start_tensorflow()
    recipe, teacher = context.recipe, context.recipe.teachers[number]
    if is_in_folds(recipe, number):
        return _without_each_fold(context, number)
    if context.folder.whole is None:  # of a part, the networks of the whole run were checked
        check_networks(recipe, number, context.data, context.card, context.progress)
    folder, taps = context.folder_of(TEACHER, number), tuple(recipe.distill.teacher_taps)
    job = TeacherJob(teacher, recipe.data.augment, recipe.seed, folder, taps)
    data = data_of(context, number)
    if teacher.domain is not None:
        images = ", ".join(f"{len(split):,} {name}" for name, split in splits_of(data).items())
        context.progress.say(f"  domain {teacher.domain!r} of {teacher.name}: {images} examples")
    return context.executor.prepare(job, data, context.progress)


def _without_each_fold(context: RunContext, number: int) -> TeacherResult:
    """Prepares a teacher without each fold, and measures each on the images of its fold."""
    import numpy as np

    from tfkd.distill.ensemble import placed
    from tfkd.distill.measures import accuracy, calibration_error
    from tfkd.training.saving import save_array

    check_networks(context.recipe, number, context.data, context.card, context.progress)
    parts = parts_with_teacher(context, number)
    results = [part.result(TEACHER, number) for part in parts.values()]
    members = membership_on_test(context, number)
    labels = context.data.test.labels[members]
    by_fold = {
        fold: placed(logits_on_test(part, number), membership_on_test(part, number)) for fold, part in parts.items()
    }
    logits = in_order(context.data, by_fold)[members]
    save_array(logits, context.folder_of(TEACHER, number) / TEST_LOGITS)
    right = accuracy(logits, labels)
    context.progress.say(
        f"  teacher {context.recipe.teachers[number].name}: accuracy {right:.1%}, pooled over {len(labels):,} examples"
    )
    return TeacherResult(
        parameters=results[0].parameters,
        image_size=results[0].image_size,
        accuracy=right,
        validation_accuracy=float(np.mean([result.validation_accuracy for result in results])),
        calibration_error=calibration_error(logits, labels),
        seconds=sum(result.seconds for result in results),
        kind=results[0].kind,
    )


def _cost(context: RunContext, number: int) -> str:
    tuning = context.recipe.teachers[number].fine_tune
    images = int(membership(context.data.train, context.recipe.teachers[number].domain).sum())
    if tuning is None:
        return "no training"
    if is_in_folds(context.recipe, number):
        return f"{context.recipe.data.folds} times, without each fold: {TEACHER.cost(context.part([0]), number)}"
    if tuning.epochs:
        return f"{images * tuning.epochs:,} examples shown to the unfrozen teacher"
    return f"at most a head on stored features of {images:,} examples"


TEACHER = StageKind(
    name="teacher",
    version=5,
    result=TeacherResult,
    inputs=_inputs,
    work=_work,
    cost=_cost,
    count=lambda recipe: len(recipe.teachers),
    kept="training",
)
