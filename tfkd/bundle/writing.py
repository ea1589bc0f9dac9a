"""Writes the files around the exported ones."""

from pathlib import Path

from tfkd import files
from tfkd.bundle import golden
from tfkd.bundle.golden import Golden
from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.vocabulary import vocabulary_text
from tfkd.inputs.table.tensors import COLUMNS, columns_text
from tfkd.inputs.text.vocabulary import VOCABULARY
from tfkd.labels import LABELS, labels_text


def assemble(folder: Path, manifest: Manifest, examples: Golden) -> None:
    """Writes labels.txt, vocab.txt of texts, columns.json of tables, golden/ and manifest.json into a bundle's folder.

    Raises:
        RequestError: a class name does not fit on one line, or the folder cannot be written.
    """
    files.write_text(folder / LABELS, labels_text(manifest.data.classes))
    if manifest.signature.pieces:
        files.write_text(folder / VOCABULARY, vocabulary_text(manifest.signature))
    if manifest.signature.columns:
        files.write_text(folder / COLUMNS, columns_text(manifest.signature.columns))
    golden.write(folder, examples, manifest.data.classes, manifest.signature)
    files.write_json(folder / MANIFEST, manifest.model_dump(mode="json", by_alias=True))
