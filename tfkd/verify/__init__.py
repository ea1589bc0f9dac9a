"""Loads every exported file with something that is not its converter and compares it with the Keras student."""

from tfkd.errors import TfkdError


class VerifyError(TfkdError):
    """An exported file is not what it must be: says which file, and what is wrong in it."""

    exit_code = 1


class GateError(TfkdError):
    """A network fails a gate against the truth before the run has a bundle: says which network, and by how much."""

    exit_code = 1
