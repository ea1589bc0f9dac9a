"""Stops a run after an implausible teacher or assistant, before its soft labels are computed."""

from typing import Any

import numpy as np

from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import DIAGNOSIS, TEST_LOGITS
from tfkd.pipeline.stages.assistant import ASSISTANT
from tfkd.pipeline.stages.teacher import TEACHER, data_of, kind_in, logits_on_test, membership_on_test, prepared
from tfkd.recipe.names import kind_of, number_of
from tfkd.verification import GateError
from tfkd.verification.records import ChanceTest, Diagnosis, Scores

VERSION = 2  # of the diagnosis stored beside a teacher; increase it when the code gives other causes
_CHECK = " Check the labels and the input normalization, or train it longer."


def require_plausible(context: RunContext, name: str) -> None:
    """Checks a finished teacher or assistant; ignores other stages.

    Args:
        context: context of the run.
        name: name of the stage.

    Raises:
        GateError: the network is implausible.
    """
    if kind_of(name) not in (TEACHER.name, ASSISTANT.name):
        return
    found = diagnosis_of_teacher(context, number_of(name)) if kind_of(name) == TEACHER.name else []
    causes = "".join(f" {each}" for each in found)
    if context.recipe.gates.better_than_chance:
        _require_better_than_chance(context, name, causes)
    if found and context.recipe.gates.diagnosis:
        raise GateError(f"{name}:{causes} No soft labels were computed. gates.diagnosis=false switches this gate off.")
    if found:
        context.progress.say(f"  warning:{causes}")


def diagnosis_of_teacher(context: RunContext, number: int) -> list[Diagnosis]:
    """Returns the likely causes of a finished teacher's wrong predictions; none for a specialist."""
    from tfkd.verification import diagnosis

    if context.recipe.teachers[number].classes:
        return []
    if logits_on_test(context, number) is None:
        return []
    path = context.folder_of(TEACHER, number) / DIAGNOSIS
    return diagnosis.read_or_diagnose(path, VERSION, lambda: _diagnosed(context, number))


def chance_test_of(context: RunContext, name: str) -> ChanceTest | None:
    """Tests a finished teacher or assistant against chance; one with classes or a domain on what it knows.

    None for a teacher that was not measured on the test split.
    """
    from tfkd.verification.truth import chance_test

    found = _predictions(context, name)
    return found and chance_test(*found)


def scores_of(context: RunContext, name: str) -> Scores | None:
    """Returns the scores per class of a finished teacher, as `chance_test_of`."""
    from tfkd.verification.scores import scores

    found = _predictions(context, name)
    return found and scores(*found, context.data.classes)


def _predictions(context: RunContext, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns labels and predictions on the test split, of a teacher on what it knows; None without predictions."""
    data, logits = context.data, _test_logits(context, name)
    if logits is None:
        return None
    labels, predictions = data.test.labels, logits.argmax(axis=1)
    if kind_of(name) != TEACHER.name:
        return labels, predictions
    labels = labels[membership_on_test(context, number_of(name))]
    if (classes := context.recipe.teachers[number_of(name)].classes) is not None:
        inside = np.isin(labels, [data.classes.index(each) for each in classes])
        labels, predictions = labels[inside], predictions[inside]
    return (labels, predictions) if len(labels) else None


def _diagnosed(context: RunContext, number: int) -> list[Diagnosis]:
    """Looks for causes in the test predictions and, for an inaccurate model, in its normalization."""
    context.start_tensorflow()
    from tfkd.verification import diagnosis

    settings, data = context.recipe.teachers[number], data_of(context, number)
    logits, labels = logits_on_test(context, number), data.test.labels
    open_classifier = kind_in(context, number).classifier
    if open_classifier is None:
        return []
    with open_classifier(prepared(context, number), data) as classifier:
        subject = diagnosis.subject_of(settings, number, classifier, data, context.folder.proposed_labels)
        if not diagnosis.is_suspicious(labels, logits.argmax(axis=1)):
            return diagnosis.order_of_labels(subject, logits, labels)
        context.progress.say("  looking for the cause of wrong predictions")
        probes = diagnosis.probe_images(data, classifier.signature, context.recipe.seed)
        return diagnosis.diagnose(subject, *probes)


def _require_better_than_chance(context: RunContext, name: str, causes: str) -> None:
    from tfkd.verification.gates import better_than_chance

    gate = better_than_chance(name, chance_test_of(context, name), "it was not measured on the test examples")
    if gate.verdict == "failed":
        raise GateError(
            f"{name} is not better than chance on the test split: {gate.reason}, p = {gate.value:.2g} "
            f"(limit {gate.limit}).{causes or _CHECK} No soft labels were computed. "
            "gates.better_than_chance=false switches this gate off."
        )
    if gate.verdict == "not judged":
        context.progress.say(f"  {gate.name}: not judged, {gate.reason}")


def _test_logits(context: RunContext, name: str) -> Any:
    path = context.stages[name].folder / TEST_LOGITS
    return np.load(path, allow_pickle=False) if path.is_file() else None
