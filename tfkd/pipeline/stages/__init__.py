"""The stages of a run, one per file, in order. Those of several teachers or assistants are numbered.

data → teacher → soft_labels → (assistant → assistant_labels →) (folds →) control, student → (compress →) export →
verify → bench → report
"""

from typing import Any

from tfkd.pipeline.kind import StageKind
from tfkd.pipeline.stages.assistant import ASSISTANT
from tfkd.pipeline.stages.assistant_labels import ASSISTANT_LABELS
from tfkd.pipeline.stages.bench import BENCH
from tfkd.pipeline.stages.compress import COMPRESS
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.export import EXPORT
from tfkd.pipeline.stages.folds import FOLDS
from tfkd.pipeline.stages.report import REPORT
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.teacher import TEACHER
from tfkd.pipeline.stages.verify import VERIFY

STAGES: dict[str, StageKind[Any]] = {
    "teacher": TEACHER,
    "soft_labels": SOFT_LABELS,
    "assistant": ASSISTANT,
    "assistant_labels": ASSISTANT_LABELS,
    "folds": FOLDS,
    "control": CONTROL,
    "student": STUDENT,
    "compress": COMPRESS,
    "export": EXPORT,
    "verify": VERIFY,
    "bench": BENCH,
    "report": REPORT,
}
