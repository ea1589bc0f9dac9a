"""The causes of a poor student, one kind per file.

`tfkd.pipeline.causes.finding` measures a run and names those that apply.
"""

from tfkd.pipeline.causes.base import CauseKind
from tfkd.pipeline.causes.few_of_class import FEW_OF_CLASS
from tfkd.pipeline.causes.initial_weights import INITIAL_WEIGHTS
from tfkd.pipeline.causes.no_threshold import NO_THRESHOLD
from tfkd.pipeline.causes.one_class import ONE_CLASS_ALONE
from tfkd.pipeline.causes.overfitted import OVERFITTED
from tfkd.pipeline.causes.rare_class import RARE_CLASS
from tfkd.pipeline.causes.task_mismatch import TASK_MISMATCH
from tfkd.pipeline.causes.teacher_memorised import TEACHER_MEMORISED
from tfkd.pipeline.causes.teacher_too_flat import TEACHER_TOO_FLAT
from tfkd.pipeline.causes.teacher_too_sure import TEACHER_TOO_SURE
from tfkd.pipeline.causes.too_short import TOO_SHORT
from tfkd.pipeline.causes.too_small import TOO_SMALL
from tfkd.pipeline.causes.worse_than_control import WORSE_THAN_CONTROL

CAUSES: dict[str, CauseKind] = {
    "no threshold": NO_THRESHOLD,
    "rare class": RARE_CLASS,
    "few validation examples of a class": FEW_OF_CLASS,
    "student too small": TOO_SMALL,
    "student overfitted": OVERFITTED,
    "training too short": TOO_SHORT,
    "teacher too sure": TEACHER_TOO_SURE,
    "teacher memorised its examples": TEACHER_MEMORISED,
    "teacher too flat": TEACHER_TOO_FLAT,
    "task mismatch": TASK_MISMATCH,
    "worse than its control": WORSE_THAN_CONTROL,
    "initial weights": INITIAL_WEIGHTS,
    "one answer": ONE_CLASS_ALONE,
}
