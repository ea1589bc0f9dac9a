"""The Keras student of an earlier run, as the initial weights of another one."""

from collections.abc import Sequence
from pathlib import Path

from tfkd.bundle.layout import MANIFEST, RECIPE
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError
from tfkd.files import read_sealed
from tfkd.pipeline.folders import RunFolder
from tfkd.recipe import Student


def is_of_run(weights: str) -> bool:
    """Returns whether the weights of a student are the folder of a run or of a bundle."""
    return (Path(weights) / RECIPE).is_file()


def student_of(place: Path, runs: Path, student: Student, classes: Sequence[str]) -> Path:
    """Returns the file of the student behind the latest report of a run.

    Args:
        place: the folder of the run, or the bundle that it published.
        runs: the folder of the runs, which is searched for the run of a bundle.
        student: that is to start from it.
        classes: of the data.

    Raises:
        RequestError: the run is not finished, its student is not there any more, or is another network or of other
            classes.
    """
    folder = _run_of(place, runs) if (place / MANIFEST).is_file() else RunFolder(place)
    found = _manifest(folder.bundle)
    record = read_sealed(folder.report_record) or {}
    file = folder.path / record.get("result", {}).get("student", "")
    if found is None or not file.is_file():
        raise RequestError(
            f"student.weights={place}: the run in {folder.path} has no finished report with its student; run its "
            "recipe first, or name a .keras file."
        )
    before = found.recipe.get("student", {})
    for name in ("model", "width"):
        if before.get(name) != getattr(student, name):
            raise RequestError(
                f"student.weights={place}: its student has {name}={before.get(name)}, this one "
                f"{name}={getattr(student, name)}; set student.{name}={before.get(name)}, or start from other weights."
            )
    if found.data.classes != list(classes):
        raise RequestError(
            f"student.weights={place}: its student has other classes, or in another order; start from other weights."
        )
    return file


def _run_of(bundle: Path, runs: Path) -> RunFolder:
    """Returns the folder of the run that published a bundle."""
    published = _manifest(bundle)
    folder = RunFolder(runs / published.name) if published else None
    made = folder and _manifest(folder.bundle)
    if folder is None or made != published:
        raise RequestError(
            f"student.weights={bundle}: a bundle holds no Keras weights, and the run that made it is not in {runs}; "
            "name the folder of that run, or a .keras file."
        )
    return folder


def _manifest(bundle: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
