"""Whether a teacher taught a bundle: compares its file, or another lock, with the lock in the bundle."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfkd import files
from tfkd.bundle.layout import MANIFEST, TEACHER_LOCK
from tfkd.bundle.lock_changes import lock_changes
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.teacher_lock import LOCK, LockedTeacher, TeacherLock, is_lock, read_lock
from tfkd.errors import RequestError, enumerated, some
from tfkd.models.weights_digest import SUFFIXES, weights_digest
from tfkd.processes import FORKSERVER
from tfkd.recipe.bert import is_bert
from tfkd.sandbox import Sandbox
from tfkd.verification import NotVerifiedError, VerifyError

_SUFFIXES = (*SUFFIXES, ".onnx", ".csv", ".npz", ".parquet")  # of models and predictions
_OF_RUNS = ("*/teacher.keras", "teacher*/*/teacher.keras")  # in a run's folder and those in it
_GIVE = (
    "Give the teacher's Keras or ONNX file, its SavedModel, BERT folder or file of predictions (.csv, .npz, .parquet), "
    "or a lock (.lock)."
)


@dataclass(frozen=True)
class TeacherFile:
    """The contents of a file or folder.

    Attributes:
        digests: SHA-256 of the file, or of the folder and of each file in it.
        weights: digest of the weights of a Keras network; None for anything else.
    """

    digests: frozenset[str]
    weights: str | None = None


def require_taught_by(folder: Path, manifest: Manifest, teacher: Path) -> tuple[str, str]:
    """Checks that a teacher taught a bundle.

    Args:
        folder: of the bundle.
        manifest: of the bundle.
        teacher: a lock (`.lock`), or the model, weights or predictions of a teacher, as a file or a folder.

    Returns:
        The model, and what was found.

    Raises:
        RequestError: the teacher's file is missing or cannot be read.
        VerifyError: it did not teach the bundle.
        NotVerifiedError: the bundle does not say who taught it.
    """
    if not teacher.exists():
        raise RequestError(f"There is no file {teacher} of a teacher.")
    if teacher.is_dir():
        _require_model(teacher)
    given = read_lock(teacher) if is_lock(teacher) else _contents(teacher)
    if not manifest.teachers:
        raise VerifyError(f"{teacher}: no teacher taught this bundle; its model was trained elsewhere.")
    if not (folder / TEACHER_LOCK).is_file():
        raise NotVerifiedError(teacher, f"the version that made the bundle wrote no {TEACHER_LOCK}")
    try:
        lock = read_lock(folder / TEACHER_LOCK)
    except RequestError as error:
        raise VerifyError(str(error)) from None
    if isinstance(given, TeacherLock):
        return _same_lock(teacher, given, lock)
    return _one_of(teacher, given, lock)


def _require_model(folder: Path) -> None:
    """Refuses a folder that is no model, and names the files of teachers in it.

    Raises:
        RequestError: it is neither a SavedModel nor a BERT model, or cannot be read.
    """
    is_bundle = (folder / MANIFEST).is_file()
    if not is_bundle and ((folder / "saved_model.pb").is_file() or is_bert(str(folder))):
        return
    if is_bundle:
        raise RequestError(f"{folder} is no teacher: it is a bundle, which holds none. {_GIVE}")
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in {*_SUFFIXES, LOCK}]
    except OSError as error:
        raise RequestError(f"{folder} cannot be read: {error.strerror}.") from None
    found += [path for pattern in _OF_RUNS for path in folder.glob(pattern)]
    if named := sorted(str(path) for path in found if path.is_file()):
        raise RequestError(f"{folder} is no teacher: it is a folder. Name one file in it: {some(named, ', ')}.")
    raise RequestError(f"{folder} is no teacher: it is a folder without a file of one. {_GIVE}")


def _same_lock(file: Path, given: TeacherLock, lock: TeacherLock) -> tuple[str, str]:
    if changes := lock_changes(given, lock):
        raise VerifyError(f"{file}: did not teach this bundle: {'; '.join(changes)}.")
    names = enumerated([repr(teacher.model) for teacher in lock.teachers])
    return names, f"taught by {names}, as {file} locks them"


def _one_of(file: Path, given: TeacherFile, lock: TeacherLock) -> tuple[str, str]:
    for number, teacher in enumerate(lock.teachers, 1):
        for how in _matches(given, teacher):
            of_several = f" (teacher {number} of {len(lock.teachers)})" if len(lock.teachers) > 1 else ""
            return teacher.model, f"{file} {how} {teacher.model!r}{of_several}, which taught the bundle"
    names = [name for teacher in lock.teachers for name in teacher.files]
    if file.is_file() and file.suffix.lower() not in {*_SUFFIXES, *(Path(name).suffix for name in names)}:
        raise RequestError(f"{file} is no teacher: it is no file of a model or of predictions. {_GIVE}")
    locked = "; ".join(_described(teacher) for teacher in lock.teachers)
    digest = given.weights or min(given.digests)
    raise VerifyError(f"{file}: did not teach this bundle: it has the digest {digest[:12]}…, the bundle {locked}.")


def _matches(given: TeacherFile, teacher: LockedTeacher) -> Iterator[str]:
    """Yields how a file belongs to a teacher."""
    if teacher.weights in given.digests | {given.weights}:
        yield "is"
    known = set(teacher.files.values())
    if known and (known <= given.digests or (len(given.digests) == 1 and given.digests <= known)):
        yield "is a file of" if teacher.settings.get("fine_tune") is None else "was fine-tuned to"


def _described(teacher: LockedTeacher) -> str:
    found = f"is of {teacher.model!r} with the weights {teacher.weights[:12]}…"
    named = [f"{name} {digest[:12]}…" for name, digest in teacher.files.items()]
    return f"{found} from {enumerated(named)}" if named else found


def _contents(path: Path) -> TeacherFile:
    """Returns the digests of a file or folder; weights of Keras are read in a process apart."""
    try:
        if path.is_dir():
            digests = {digest for _, digest in files.checksums(path)}
            return TeacherFile(frozenset({*digests, files.content_digest(path)}))
        files.read_regular(path, 0)
        digest = files.sha256(path)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from None
    if path.suffix not in SUFFIXES:
        return TeacherFile(frozenset({digest}))
    with Sandbox(RequestError, context=FORKSERVER) as sandbox:
        return TeacherFile(frozenset({digest}), sandbox.call(path, weights_digest, path))
