"""Students of tables: docs/evidence of trees.py."""

from collections.abc import Callable

from tfkd.report import units
from tools.figures import evidence


def accuracies() -> str:
    """Returns the table of the tree and the forest, their controls and their teachers over the seeds."""
    seeds = evidence.read("trees")["seeds"]
    teachers = [each["teacher_accuracy"] for each in seeds]
    rows = []
    for name in seeds[0]["students"]:
        students, controls = (
            [each["students"][name][key] for each in seeds] for key in ("accuracy", "control_accuracy")
        )
        gain = evidence.gain(evidence.gains(students, controls))
        rows.append([name, evidence.spread(teachers), evidence.spread(controls), evidence.spread(students), gain])
    titles = ["student", "teacher", "control", "student's accuracy", "gain over the control"]
    return evidence.table(titles, rows)


def files() -> str:
    """Returns the table of the files of the pipeline's bundles."""
    rows = [
        [path, units.size(file["bytes"]), units.percent(file["same_class"]), f"{file['largest_error']:.0e}"]
        for bundle in evidence.read("trees")["bundles"].values()
        for path, file in bundle["files"].items()
    ]
    titles = ["file", "size", "same class as the Keras student", "largest difference of a probability"]
    return evidence.table(titles, rows)


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {
        "tree accuracy table": accuracies,
        "tree files table": files,
        "tree as teacher": lambda: _as_teacher("digits"),
        "forest as teacher": lambda: _as_teacher("digits-forest"),
    }


def _as_teacher(bundle: str) -> str:
    return units.percent(evidence.read("trees")["bundles"][bundle]["agreement_with_teacher"])
