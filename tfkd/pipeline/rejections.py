"""The thresholds below which exported files give no label, by what each file predicts for the validation examples."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.data import Dataset
from tfkd.errors import RequestError
from tfkd.formats import FORMATS, load
from tfkd.recipe import Export, Reject
from tfkd.signature import Signature
from tfkd.verification import NotVerifiedError, rejection
from tfkd.verification.records import Rejection
from tfkd.writers import Card, ExportedFile

# All rows of a leaf have one probability, which runtimes round differently: a threshold is that far from it, or a whole
# leaf would get its label on one phone alone.
_STEP_OF_LEAVES = 1e-5


def require_validation(export: Export, data: Dataset) -> None:
    """Refuses settings of an export that the validation split cannot support, before anything is trained.

    Raises:
        RequestError: there is no validation split, or it is too small for export.reject.
    """
    rejection.require_supported(export.reject, len(data.validation))
    if export.temperature and not len(data.validation):
        raise RequestError("export.temperature is fitted on a validation split, and there is none; add one.")


def choose_for_files(
    bundle: Path,
    files: Iterable[ExportedFile],
    reject: Reject,
    card: Card,
    signature: Signature,
    batches: Iterable[Any],
    labels: np.ndarray,
    say: Callable[[str], None],
) -> dict[str, Rejection]:
    """Runs every file on the validation examples, chooses its threshold, and writes it into the file.

    Args:
        bundle: folder of the files.
        files: files of the bundle.
        reject: the promise.
        card: what the files contain.
        signature: what they take.
        batches: raw inputs of the validation examples, [b, ...], in order; read once for each file.
        labels: the true classes, int [n].
        say: prints a line for each file.

    Returns:
        By path, of the files that can be run here.

    Raises:
        VerifyError: a file cannot be loaded or run.
    """
    from tfkd.verification import artifacts

    found = {}
    for file in files:
        path, format = bundle / file.path, FORMATS[file.format]
        try:
            scale = artifacts.check(path, file.format, card, signature).output.scale
            probabilities = artifacts.predict(path, file.format, batches)
        except NotVerifiedError:
            continue  # the verification says so
        step = _STEP_OF_LEAVES if scale is None and signature.kind == "table" else scale
        found[file.path] = rejection.choose(labels, probabilities, reject, step)
        say(f"{file.path}: {rejection.described(found[file.path])}")
        if found[file.path].threshold and format.score_threshold:
            own = card.with_score_threshold(found[file.path].threshold)
            load(format.score_threshold)(path, own, signature)
    return found
