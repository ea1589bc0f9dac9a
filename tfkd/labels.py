"""Label files: the names of a classifier's outputs, one per line, in their order."""

import difflib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfkd.errors import RequestError, nearest

LABELS = "labels.txt"  # in a bundle and in .tflite files
THRESHOLDS = "thresholds.txt"  # in .tflite files of bundles with promised recalls
LARGEST_LABELS = 1 << 24  # bytes

# Categories (Unicode Standard Annex 44): control characters, surrogates (bytes that were no UTF-8), line and
# paragraph separators. Exported label files hold one name per line.
_REFUSED = {"Cc": "a control character", "Cs": "bytes that are no UTF-8", "Zl": "a line break", "Zp": "a line break"}


def read_labels(path: Path) -> tuple[str, ...]:
    """Reads the class names of a model, one per line, in the order of its outputs.

    Raises:
        RequestError: the file is missing or is not text, or a line is empty or occurs twice.
    """
    try:
        with path.open("rb") as stream:
            names = stream.read(LARGEST_LABELS).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise RequestError(f"The labels {path} cannot be read: {reason}.") from None
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise RequestError(f"{path}, line {number}: is empty; give every output of the model a name.")
        if name in first:
            raise RequestError(f"{path}, line {number}: {name!r} is on line {first[name]} too; rename one.")
        first[name] = number
    if not names:
        raise RequestError(f"{path} is empty; give every output of the model a name, one per line.")
    return tuple(names)


def labels_text(classes: Iterable[str]) -> str:
    """Returns the content of labels.txt: one class per line, in the order of the output.

    Raises:
        RequestError: a name is empty, holds a line break, or occurs twice: Core ML gives probabilities by name.
    """
    names = list(classes)
    for name, times in Counter(names).items():
        if times > 1:
            raise RequestError(f"Two classes are named {name!r}; an app could not distinguish them. Rename one.")
        if name.splitlines() != [name]:
            raise RequestError(f"The class name {name!r} does not fit on one line of {LABELS}; rename it.")
    return "".join(f"{name}\n" for name in names)


def thresholds_text(thresholds: Mapping[str, float]) -> str:
    """Returns the content of thresholds.txt: per line a class, a tab, and the least probability."""
    return "".join(f"{name}\t{value!r}\n" for name, value in thresholds.items())


def relabelled(labels: Sequence[str] | None, classes: Sequence[str], names: Sequence[str]) -> list[str]:
    """Returns the corrected names of a model's outputs, after its predictions showed another order.

    Args:
        labels: present names of its outputs, in their order; None: those of the classes.
        classes: classes in the order of the data.
        names: the actual class of each of `classes`.
    """
    found = dict(zip(classes, names, strict=True))
    return [found.get(label, label) for label in labels or classes]


def outputs_of(classes: Sequence[str], labels: Sequence[str], where: str) -> list[int]:
    """Returns the number of the output that belongs to each class, found by name in any Unicode form.

    Args:
        classes: names in the order of the data.
        labels: names in the order of the model's outputs; some may belong to no class.
        where: name of the labels in messages.

    Raises:
        RequestError: the labels lack a class or name one twice.
    """
    forms = [composed(label) for label in labels]
    if len(set(forms)) != len(forms):
        twice = next(label for label in forms if forms.count(label) > 1)
        raise RequestError(f"{where} name {twice!r} twice; give every output a name of its own.")
    for name in classes:
        if composed(name) not in forms:
            raise RequestError(f"The data has the class {name!r}, {where} do not.{nearest(name, list(labels))}")
    return [forms.index(composed(name)) for name in classes]


def class_named(name: str, classes: Sequence[str], where: str) -> str:
    """Returns the class with a name, in any Unicode form.

    Args:
        name: the name in a request.
        classes: the names in the data.
        where: name of the field in messages.

    Raises:
        RequestError: there is no such class.
    """
    found = next((known for known in classes if composed(known) == composed(name)), None)
    if found is None:
        hint = meant(name, list(classes)) or nearest(name, list(classes))
        raise RequestError(f"{where} names the class {name!r}, which does not exist.{hint}")
    return found


def composed(name: str) -> str:
    """Returns a name in Unicode's composed form (NFC), because macOS writes the decomposed one."""
    return unicodedata.normalize("NFC", name)


def similar(classes: Iterable[str]) -> list[tuple[str, str]]:
    """Returns pairs of class names that differ only in case, separators or invisible characters."""
    first: dict[str, str] = {}
    pairs = ((name, first.setdefault(skeleton(name), name)) for name in classes)
    return [(other, name) for name, other in pairs if other != name]


def meant(name: str, classes: list[str]) -> str:
    """Returns " Did you mean 'red'?" for an unknown name if a class has almost the same name, else ""."""
    same = [known for known in classes if skeleton(known) == skeleton(name)]
    found = same or difflib.get_close_matches(name, classes, n=1, cutoff=0.75)
    return f" Did you mean {found[0]!r}?" if found else ""


def skeleton(name: str) -> str:
    """Returns a name without differences of case, separators and invisible characters."""
    visible = (c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    return " ".join("".join(visible).casefold().replace("_", " ").replace("-", " ").split())


def require_usable(where: str, classes: Iterable[str]) -> None:
    """Refuses class names that an exported file cannot contain.

    Args:
        where: name of the source in messages.
        classes: the names.

    Raises:
        RequestError: a name is empty, begins or ends with white space, or holds a line break, another control
            character or bytes that are no UTF-8.
    """
    for name in classes:
        reason = _reason(name)
        if reason:
            raise RequestError(f"{where}: the class {name!r} cannot be a label: {reason}. Rename it.")


def _reason(name: str) -> str:
    if not name.strip():
        return "the name is empty"
    if len(name.splitlines()) > 1:
        return "the name holds a line break"
    refused = [_REFUSED[kind] for kind in map(unicodedata.category, name) if kind in _REFUSED]
    if refused:
        return f"the name holds {refused[0]}"
    if name != name.strip() or name.startswith("\ufeff"):
        return "the name begins or ends with white space"
    return ""
