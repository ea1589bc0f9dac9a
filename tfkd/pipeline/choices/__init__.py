"""The choices of a run where its recipe says `auto`, one kind per file, in the order in which they are made.

A later choice sees the recipe with the earlier ones in it. `tfkd.pipeline.resolving` makes and stores them.
"""

from tfkd.pipeline.choices.base import ChoiceKind
from tfkd.pipeline.choices.distill import DISTILL
from tfkd.pipeline.choices.weights import WEIGHTS

CHOICES: dict[str, ChoiceKind] = {
    "weights": WEIGHTS,
    "distill": DISTILL,
}
