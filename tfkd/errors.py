"""The errors that tfkd shows to its users, each with the exit code of the command line."""

import errno
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_LONG_LINE = 300
_LONGEST_SENTENCE = 1000
_NAMED = 3
_KNOWN = 40  # names of a list that a message holds
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")

# Control characters, surrogates, line and paragraph separators, and changes of the direction of writing.
_UNSAFE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]"
)

# Keras prints whole configurations into its messages, and the values of a failed call behind them.
_DUMPS = re.compile(r"^config=\{.*$|\s*Full object config: .*$", re.MULTILINE)
_ARGUMENTS = re.compile(r"^\s*Arguments received by .*\Z", re.MULTILINE | re.DOTALL)


class TfkdError(Exception):
    """Base of the errors that tfkd raises; the text is one line for the user."""

    exit_code = 3


class RequestError(TfkdError):
    """The request was wrong; the text says what is wrong, where, and what to do."""

    exit_code = 2


class InternalError(TfkdError):
    """An internal failure; the text is a traceback."""


class MachineError(TfkdError):
    """The machine or a device failed; the text says what is wrong, where, and what to do before a retry."""

    exit_code = 4


_FULL = "Free some space, or choose other folders with --runs, --out and $TMPDIR."
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: "Choose folders that can be written with --runs, --out and $TMPDIR.",
    errno.EACCES: "Choose folders that can be written with --runs, --out and $TMPDIR.",
    errno.EMFILE: "Allow more open files: ulimit -n 4096.",
    errno.EIO: "Check the disk.",
}


def of_the_machine(error: BaseException) -> MachineError | None:
    """Returns the error message for lack of memory or a full, read-only or failing disk, or None for other errors.

    TensorFlow, HDF5 and Core ML Tools report such errors as text.
    """
    if isinstance(error, MemoryError):
        return MachineError("The memory does not suffice. Close other programs, or make batches or examples smaller.")
    number = getattr(error, "errno", None)
    if number not in _ADVICE:
        number = next((each for each in _ADVICE if os.strerror(each) in str(error)), None)
    if number is None:
        return None
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    return MachineError(f"{os.strerror(number)}{where}. {_ADVICE[number]}")


def of_exit(error: SystemExit) -> RequestError:
    """Returns the error message for code of a recipe or a model that ended the program."""
    return RequestError(f"Code of the recipe or of a model ended the program by exit({error.code!r}). Remove it.")


def nearest(wrong: str, known: list[str]) -> str:
    """Returns ' Did you mean X?' with the most similar known name, or the list of the known names."""
    import difflib

    matches = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    if matches:
        return f" Did you mean {matches[0]!r}?"
    more = f" and {len(known) - _KNOWN:,} more" if len(known) > _KNOWN else ""
    return f" Known: {', '.join(sorted(known)[:_KNOWN])}{more}."


def legible(text: str) -> str:
    """Returns a text on one line, with line breaks and terminal control characters escaped.

    File names may contain such characters, and bytes that are not UTF-8 (surrogates).
    """
    return _UNSAFE.sub(lambda found: repr(found[0])[1:-1], text)


def counted(count: int, noun: str, ending: str = "s") -> str:
    """Returns "1 file", "2 files" or "1,000 files": a number with a noun, and the ending of its plural."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{ending}"


def some(names: list[str], separator: str = "; ") -> str:
    """Returns the first three names, and the number of the others."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return separator.join(names[:_NAMED]) + more


def enumerated(names: Sequence[str], word: str = "and") -> str:
    """Returns "host", "host and ssh" or "host, ssh and android".

    Args:
        names: at least one.
        word: between the last two.
    """
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def cause(error: BaseException) -> str:
    """Returns a library's error as one line: its first informative line and, if different, its last line.

    Keras puts the cause last, after a dump of the configuration; TensorFlow and h5py put it first.
    """
    text = _ARGUMENTS.sub("", _DUMPS.sub("", str(error)))
    if "allow_pickle" in text:  # numpy's advice, which would run what a file says
        return "an array holds Python objects; save numbers, or text with dtype=str"
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if re.search(r"\w", line) and not line.startswith("[[")]  # names of nodes
    if not lines:
        return type(error).__name__
    first, last = lines[0], lines[-1].removeprefix("Exception encountered: ")
    return _shortened(first) if last in first else f"{_shortened(first)} {_shortened(last)}"


def first_fault(error: "ValidationError") -> str:
    """Returns pydantic's first error on one line: where, and what is wrong."""
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    message = " ".join(found["msg"].split())[:200]
    text_with_place = f"{place}: {message}" if place else message
    return "".join(character if character.isprintable() else " " for character in text_with_place)


def _shortened(line: str) -> str:
    """Returns a long line without its later sentences; cuts within a sentence only if it is extremely long."""
    if len(line) <= _LONG_LINE:
        return line
    sentence = _SENTENCE_END.split(line, maxsplit=1)[0]
    return sentence if len(sentence) <= _LONGEST_SENTENCE else f"{sentence[:_LONGEST_SENTENCE].rsplit(' ', 1)[0]} …"
