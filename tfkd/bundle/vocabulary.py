"""vocab.txt in a bundle of texts: the pieces of its signature, which manifest.json does not repeat."""

from dataclasses import replace
from pathlib import Path

from tfkd.errors import RequestError
from tfkd.inputs.text import vocabulary
from tfkd.inputs.text.tensors import signature
from tfkd.inputs.text.vocabulary import VOCABULARY, Vocabulary
from tfkd.signature import Signature


def vocabulary_text(signature: Signature) -> str:
    """Returns the content of the file; empty for an input without a vocabulary."""
    return Vocabulary(signature.pieces).text


def with_vocabulary(stated: Signature | None, folder: Path) -> Signature | None:
    """Returns a signature of manifest.json with its vocabulary.

    Args:
        stated: the signature, without pieces.
        folder: of the bundle.

    Raises:
        RequestError: the file is missing, is no vocabulary, or has another size than the signature states.
    """
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
