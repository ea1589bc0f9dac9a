"""Names and paths in the folder of a run; no other module of the pipeline composes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkd.pipeline.stage_files import DONE
from tfkd.recipe.names import numbered

# In the folders of stages.
STUDENT_MODEL = "student.keras"
TEST_LOGITS = "test_logits.npy"  # float32 [test images, classes]
VALIDATION_LOGITS = "validation_logits.npy"  # float32 [validation images, classes], of a teacher
CURVE = "curve.json"
HEAD = "head.npz"  # kernel, bias and seconds of a head on stored features
DIAGNOSIS = "diagnosis.json"
BUNDLE = "bundle"

# In the folder of a run, beside those of its stages.
CHECKED = "data"
SWEEP: Literal["sweep"] = "sweep"
COMPARISON = "compare"
FIT: Literal["fit"] = "fit"
FOLD = "fold"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, `runs/<name>`, or of its part without some folds.

    Attributes:
        path: the folder.
        whole: folder of the whole run; None if it is `path`.
    """

    path: Path
    whole: Path | None = None

    @property
    def recipe(self) -> Path:
        """The recipe of the latest run, as JSON."""
        return self.path / "recipe.json"

    @property
    def teacher_lock(self) -> Path:
        """Which teachers the latest run had."""
        return self.path / "teacher.lock"

    @property
    def lock_page(self) -> Path:
        """How these teachers differ from the locked ones."""
        return self.path / "teacher_lock.html"

    @property
    def choices(self) -> Path:
        """The choices that runs made where the recipe says `auto`."""
        return self.path / "choices.json"

    @property
    def checked(self) -> Path:
        """The folder with the result of checking every photo."""
        return (self.whole or self.path) / CHECKED

    @property
    def folds(self) -> Path:
        """The parts of the run without some folds, one folder each."""
        return self.path / FOLD

    def without(self, held_out: Sequence[int]) -> "RunFolder":
        """Returns the folder of the part without some folds, which are numbered from 1 in its name."""
        return RunFolder(self.folds / "-".join(str(fold + 1) for fold in held_out), self.path)

    @property
    def proposed_labels(self) -> Path:
        """The proposed order of the class names, which explains wrong predictions."""
        return self.path / "proposed_labels.txt"

    @property
    def test_uses(self) -> Path:
        """Which recipes of this folder have test figures, a line each."""
        return self.path / "test_uses.jsonl"

    @property
    def suspected_labels(self) -> Path:
        """The labels that are probably wrong, the most probable first."""
        return self.path / "suspected_labels.csv"

    @property
    def causes(self) -> Path:
        """What was measured to tell the causes of a poor student apart."""
        return self.path / "causes.json"

    @property
    def rescue(self) -> Path:
        """The gates that the student of a recipe missed before its rescue."""
        return self.path / "rescue.json"

    @property
    def own_bundle(self) -> Path:
        """The bundle of a model that was trained elsewhere."""
        return self.path / BUNDLE

    @property
    def bundle(self) -> Path:
        """The finished bundle, also where a gate failed and nothing was published."""
        return self.path / "report" / BUNDLE

    @property
    def report_record(self) -> Path:
        """The record of the finished report."""
        return self.path / "report" / DONE

    @property
    def evidence_of_before(self) -> Path:
        """The evidence of runs of earlier versions, whose bundles lack it."""
        return self.path / "report" / "evidence.json"

    @property
    def report(self) -> Path:
        """The report, written again from the manifest and the evidence."""
        return self.path / "report" / "report.html"

    @property
    def sweep(self) -> Path:
        """The trainings of sweeps, one folder each, and the latest sweep's result."""
        return self.path / SWEEP

    @property
    def comparison(self) -> Path:
        """The variants of comparisons, one folder each, and the latest comparison's result."""
        return self.path / COMPARISON

    @property
    def fit(self) -> Path:
        """The files, measurements and trainings of fits, and the latest fit's result."""
        return self.path / FIT


def of_seed(stage: Path, seed: int) -> Path:
    """Returns the folder of one seed's training in the folder of its stage."""
    return stage / f"seed-{seed}"


def teacher_file(exported: Path, number: int) -> Path:
    """Returns the fp32 .tflite file of teacher number 0, 1, … in the folder of the export."""
    return exported / f"{teacher_file_name(number)}.tflite"


def teacher_file_name(number: int) -> str:
    """Returns the name of that file in benchmarks."""
    return numbered("teacher_fp32", number)
