"""The imports of every training, loaded once in the process that trainings are forked from.

Nothing here may run TensorFlow, because its threads would be missing in the fork.
"""

from tfkd.quiet import native_logs_silenced

with native_logs_silenced():
    from tfkd.training.loop import prepare_tensorflow
    from tfkd.training.student import train_student

__all__ = ["prepare_tensorflow", "train_student"]
