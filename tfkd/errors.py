"""The errors that tfkd shows to its users, each with the exit code of the command line."""


class TfkdError(Exception):
    """Base of every error that tfkd raises on purpose; its text is one line for the user."""

    exit_code = 3


class RequestError(TfkdError):
    """The request was wrong: says what is wrong, where, and what to do about it."""

    exit_code = 2


def nearest(wrong: str, known: list[str]) -> str:
    """Returns ' Did you mean X?' for the known name nearest to the wrong one, or the list of the known ones."""
    import difflib

    matches = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f" Did you mean {matches[0]!r}?" if matches else f" Known: {', '.join(sorted(known))}."


def first_line(error: Exception) -> str:
    """Returns the first line of a library's error that says anything, cut to a line's length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
