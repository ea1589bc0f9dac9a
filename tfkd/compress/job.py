"""The job of a compression, as a plain value that passes between processes."""

from dataclasses import dataclass
from pathlib import Path

from tfkd.recipe import AnyCompression
from tfkd.training.job import Job


@dataclass(frozen=True)
class CompressJob:
    """The compressions of a trained student.

    Attributes:
        training: the student's training, with the folder of the compression.
        trained: the student's `.keras` file.
        blocks: the compressions, in order.
        title: title of the task.
    """

    training: Job
    trained: Path
    blocks: tuple[AnyCompression, ...]
    title: str
