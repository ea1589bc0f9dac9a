"""Where Python looks for modules: the current folder may be anybody's, so its files never replace installed ones.

This module imports nothing that Python has not loaded when it starts, so that it can run before anything is looked for.
"""

import os
import sys

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_STANDARD = os.path.dirname(os.__file__)


def without_current_folder() -> None:
    """Takes the current folder from before the installed packages, where `python -m` and PYTHONPATH put it.

    Where tfkd itself is imported from it, as in a checkout, it goes to the end. Python processes that are started
    from here get the same by PYTHONSAFEPATH and PYTHONPATH.
    """
    first = sys.path[: sys.path.index(_STANDARD)] if _STANDARD in sys.path else sys.path[:]
    sys.path[: len(first)] = [entry for entry in first if not _is_current(entry)]
    if _is_current(_OWN):
        append(_OWN)
    os.environ["PYTHONSAFEPATH"] = "1"
    if named := os.environ.get("PYTHONPATH"):
        entries = [entry for entry in named.split(os.pathsep) if not _is_current(entry)]
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)


def append(folder: "str | os.PathLike[str]") -> None:
    """Lets modules that no installed package has be imported from a folder of the user's."""
    try:
        path = os.path.abspath(folder)
    except OSError:  # the current folder is gone
        return
    if path not in sys.path:
        sys.path.append(path)


def _is_current(entry: str) -> bool:
    try:
        return os.path.samefile(entry or os.curdir, os.curdir)
    except OSError:
        return False
