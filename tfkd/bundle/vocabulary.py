"""vocab.txt in a bundle of texts, and columns.json in one of tables: what manifest.json does not repeat."""

from dataclasses import replace
from pathlib import Path

from tfkd.errors import RequestError
from tfkd.inputs.table.tensors import COLUMNS, parse_columns
from tfkd.inputs.table.tensors import signature as signature_of_row
from tfkd.inputs.text import vocabulary
from tfkd.inputs.text.tensors import signature
from tfkd.inputs.text.vocabulary import VOCABULARY, Vocabulary
from tfkd.signature import Signature


def vocabulary_text(signature: Signature) -> str:
    """Returns the content of the file; empty for an input without a vocabulary."""
    return Vocabulary(signature.pieces).text


def with_vocabulary(stated: Signature | None, folder: Path) -> Signature | None:
    """Returns a signature of manifest.json with its vocabulary, or its columns.

    Args:
        stated: the signature, without pieces and columns.
        folder: of the bundle.

    Raises:
        RequestError: the file is missing, is no vocabulary, or has another size than the signature states.
    """
    if stated is not None and stated.kind == "table":
        return _with_columns(stated, folder / COLUMNS)
    if stated is None or stated.kind != "text":
        return stated
    pieces = vocabulary.read(folder / VOCABULARY).pieces
    found = replace(stated, pieces=pieces)
    length = stated.single.shape[0]
    if length is None or found != signature(length, pieces):
        raise RequestError(
            f"{VOCABULARY} has {len(pieces):,} pieces, which does not fit the signature of the student, {stated}."
        )
    return found


def _with_columns(stated: Signature, path: Path) -> Signature:
    try:
        found = signature_of_row(parse_columns(path.read_bytes(), COLUMNS))
    except OSError as error:
        raise RequestError(f"{COLUMNS} cannot be read: {error.strerror}. Take the whole bundle.") from None
    if replace(stated, columns=found.columns) != found:
        raise RequestError(f"{COLUMNS} does not fit the signature of the student, {stated}.")
    return found
