"""The import path: files in the current folder, which may be anybody's, never replace installed modules.

This module imports only what Python has loaded at its start, so that it can run before any other import.
"""

import os
import sys

TYPE_CHECKING = False  # without the module `typing`
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_appended: list[str] = []
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_STANDARD = os.path.dirname(os.__file__)
_INSTALLED = ("site-packages", "dist-packages")  # ends of the folders of installed packages


def without_current_folder() -> None:
    """Removes the current folder from the front of the import path, where `python -m` and PYTHONPATH put it.

    If tfkd itself is imported from it, as in a checkout, it is moved to the end. PYTHONSAFEPATH and PYTHONPATH do the
    same for child processes.
    """
    first = sys.path[: sys.path.index(_STANDARD)] if _STANDARD in sys.path else sys.path[:]
    sys.path[: len(first)] = [entry for entry in first if not _is_current(entry)]
    if _is_current(_OWN):
        append(_OWN)
    os.environ["PYTHONSAFEPATH"] = "1"
    if named := os.environ.get("PYTHONPATH"):
        entries = [entry for entry in named.split(os.pathsep) if not _is_current(entry)]
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)


def of_children() -> list[str]:
    """Returns the import path for child processes: the current folder and that of the script come last.

    A child imports what tfkd needs; modules of the user's are found when no installed one has their name.
    """
    first = sys.path[: sys.path.index(_STANDARD)] if _STANDARD in sys.path else sys.path[:]
    script = os.path.dirname(os.path.abspath(getattr(sys.modules["__main__"], "__file__", None) or ""))
    own = [entry for entry in first if _is_current(entry) or os.path.abspath(entry) == script]
    kept = [entry for number, entry in enumerate(sys.path) if number >= len(first) or entry not in own]
    return [*kept, *(os.path.abspath(entry) for entry in own)]


def protect_namespaces() -> None:
    """Lets installed code find installed packages without `__init__.py` in a child process; see `of_children`."""
    installed = [number for number, entry in enumerate(sys.path) if entry.endswith(_INSTALLED)]
    later = sys.path[installed[-1] + 1 :] if installed else []
    if later and not _appended:
        sys.meta_path.insert(0, _InstalledNamespaces)
    _appended.extend(later)


def append(folder: "str | os.PathLike[str]") -> None:
    """Appends a folder of the user's to the import path, after all installed packages."""
    try:
        path = os.path.abspath(folder)
    except OSError:  # the current folder is gone
        return
    if path not in sys.path:
        if not _appended:
            sys.meta_path.insert(0, _InstalledNamespaces)
        _appended.append(path)
        sys.path.append(path)


class _InstalledNamespaces:
    """Finds packages without `__init__.py`, which Python ignores if a later folder has a module of the same name.

    Only for installed code: a recipe may name a module of the user's `tests`, whatever wheels leave beside packages.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        if path is not None or not _is_asked_for_by_installed_code():
            return None
        from importlib.machinery import PathFinder

        installed = PathFinder.find_spec(name, [entry for entry in sys.path if entry not in _appended])
        return installed if installed is not None and installed.origin is None else None


def _is_asked_for_by_installed_code() -> bool:
    frame = sys._getframe(2)
    while "importlib" in frame.f_code.co_filename and frame.f_back is not None:
        frame = frame.f_back
    file = frame.f_code.co_filename
    return any(name in file for name in _INSTALLED) and not file.startswith(os.path.join(_OWN, "tfkd"))


def _is_current(entry: str) -> bool:
    try:
        return os.path.samefile(entry or os.curdir, os.curdir)
    except OSError:
        return False
