"""The causes of a poor student after its run: what `tfkd doctor --after` shows."""

from dataclasses import dataclass
from pathlib import Path

from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import Manifest, read_manifest
from tfkd.errors import RequestError, nearest
from tfkd.pipeline.causes.finding import causes_of, missed
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.report import REPORT
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.student_figures import figures_of
from tfkd.pipeline.stages.suspects import write_suspects
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.report.suspects import line
from tfkd.verification.gates import named
from tfkd.verification.records import Diagnosis, Gate


@dataclass(frozen=True)
class AfterRun:
    """What a finished run shows about its student.

    Attributes:
        summary: accuracies and the missed gates, in sentences.
        causes: the strongest first.
        labels: how many labels are probably wrong, one sentence; "" where that is not known.
    """

    summary: str
    causes: list[Diagnosis]
    labels: str = ""


def run_folder(place: Path, runs: Path) -> RunFolder:
    """Returns the folder of a run.

    Args:
        place: the folder.
        runs: where other runs are looked for, beside those in the folder that holds `place`.

    Raises:
        RequestError: there is no run; it names the most similar one.
    """
    folder = RunFolder(place)
    if folder.recipe.is_file():
        return folder
    wrong = f"{place} is no folder of a run" if place.is_dir() else f"There is no run {place}"
    known = {str(recipe.parent) for path in (place.parent, runs) for recipe in path.glob(f"*/{folder.recipe.name}")}
    if not known:
        raise RequestError(f"{wrong}, and {runs} has none either; call tfkd run first, or set --runs.")
    raise RequestError(f"{wrong}.{nearest(str(place), sorted(known))}")


def causes_in_bundle(bundle: Path) -> AfterRun:
    """Returns what the manifest of a bundle says about its student.

    Raises:
        RequestError: the manifest is not of this version.
    """
    manifest = read_manifest(bundle)
    accuracy = f"Test accuracy of the student: {manifest.student.accuracy:.1%}"
    return AfterRun(f"{accuracy}. {_verdict(missed(manifest))}", manifest.diagnosis)


def examine_after(recipe: Recipe, folder: RunFolder, progress: Progress) -> AfterRun:
    """Names the causes of a poor student from what its run stored.

    Args:
        recipe: recipe of the run.
        folder: of the run.
        progress: shows progress.

    Raises:
        RequestError: the students of this recipe are not trained in this folder.
    """
    if not folder.path.is_dir():
        raise RequestError(f"There is no run in {folder.path}; call tfkd run first, or set --runs.")
    context = open_run(recipe, folder, progress)
    trained = context.part([0]) if context.data.is_pooled else context
    unfinished = [name for name in (STUDENT.name, CONTROL.name) if trained.stages[name].result() is None]
    if unfinished:
        raise RequestError(
            f"{folder.path} has no finished {unfinished[0]} of these settings; call tfkd run with the same recipe and "
            "overrides first."
        )
    failed = _missed(context)
    figures = figures_of(context, None if failed is None else [gate.name for gate in failed])
    suspects = write_suspects(context)
    labels = line(suspects.entry, folder.suspected_labels) if suspects else ""
    return AfterRun(f"{figures.described()}. {_verdict(failed)}", causes_of(figures), labels)


def _missed(context: RunContext) -> list[Gate] | None:
    """Returns the gates that the student itself missed; None where the run has not judged any."""
    if context.stages[REPORT.name].result() is None:
        return None
    return missed(Manifest.model_validate_json((context.folder.bundle / MANIFEST).read_bytes()))


def _verdict(failed: list[Gate] | None) -> str:
    """Returns which gates the student missed, one sentence."""
    if failed is None:
        return "The run has not judged its gates yet."
    return f"Missed: {named(failed)}." if failed else "The student itself missed no gate on accuracy or classes."
