"""Imports the libraries that every try needs and no mutant changes, for processes that are forked from here."""

import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import coremltools
import hypothesis
import keras
import matplotlib.figure
import pydantic
import pytest
import scipy.stats
import tensorflow
import tf_keras
from ai_edge_litert import interpreter

__all__ = ["coremltools", "hypothesis", "interpreter", "keras", "matplotlib", "pydantic", "run_tests", "scipy"]
__all__ += ["tensorflow", "tf_keras"]


def run_tests(folder: str, tests: list[str], output: str) -> None:
    """Runs tests of a copy of the project up to the first that fails, and ends the process with pytest's exit code.

    Args:
        folder: folder of the copy.
        tests: files or names.
        output: file for the output of pytest.
    """
    os.setsid()  # so that the tests and their processes can be killed together
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    # A mutant of the same size and second as the previous one would load the byte code of that one.
    os.environ.update(PYTHONPATH=folder, PYTHONDONTWRITEBYTECODE="1", COLUMNS="1000")
    sys.dont_write_bytecode = True
    os.chdir(folder)
    sys.path.insert(0, folder)
    code = pytest.main(["-x", "-q", "-rfE", "-p", "no:cacheprovider", "--rootdir", folder, *tests])
    sys.stdout.flush()
    if "tfkd" in sys.modules and Path(folder) not in Path(sys.modules["tfkd"].__file__ or "").parents:
        code = pytest.ExitCode.INTERNAL_ERROR  # the working tree was tested, not its copy
    os._exit(code)
