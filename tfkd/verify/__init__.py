"""Loads every exported file with something that is not its converter and compares it with the Keras student."""

from tfkd.errors import TfkdError


class VerifyError(TfkdError):
    """An exported file is not what it must be: says which file, and what is wrong in it."""

    exit_code = 1
