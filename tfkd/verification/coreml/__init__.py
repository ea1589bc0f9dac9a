"""Runs Core ML classifiers on Linux, from the file alone and without any of Apple's frameworks.

`description` checks what a file says about itself; `evaluator` runs it: `program` walks the operations of an ML program
(.mlpackage), `network` the layers of a neural network (.mlmodel), and both compute with the operator families of
`kernels`. An operator that has no kernel is an error that names it.
"""

from tfkd.verification.coreml.description import check
from tfkd.verification.coreml.evaluator import Evaluator, labels, load, predict

__all__ = ["Evaluator", "check", "labels", "load", "predict"]
