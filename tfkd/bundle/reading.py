"""Reads the manifest of a bundle in which nothing is trusted."""

import json
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import SCHEMA, Manifest
from tfkd.bundle.seal import few, text
from tfkd.errors import RequestError
from tfkd.formats import FORMATS
from tfkd.strict_json import JsonError, once_each
from tfkd.verification import VerifyError
from tfkd.verification.records import Artifact
from tfkd.verification.thresholds import values_by_name
from tfkd.writers import Card, card_of


def checked_manifest(folder: Path, listed: dict[str, Path]) -> tuple[tuple[Manifest, Card], str]:
    """Reads the manifest, and the card that every model must hold.

    Args:
        folder: of the bundle.
        listed: its files, by their paths in it.

    Returns:
        Both, and what was found.

    Raises:
        VerifyError: the manifest cannot be read, or it describes other models than those in the folder.
    """
    content = text(folder / MANIFEST)
    try:
        manifest = Manifest.model_validate_json(content, strict=True).with_vocabulary(folder)
        json.loads(content, object_pairs_hook=once_each)
    except RequestError as error:
        raise VerifyError(f"{MANIFEST}: {str(error).replace(f'{folder}/', '')}") from None
    except JsonError as error:
        raise VerifyError(f"{MANIFEST}: {error} in one place.") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise VerifyError(f"{MANIFEST}: {'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}.") from None
    if manifest.schema_ != SCHEMA:
        raise VerifyError(f"{MANIFEST}: has the schema {manifest.schema_!r}, this is {SCHEMA!r}.")
    known = {artifact.path for artifact in manifest.artifacts}
    if not known or len(known) != len(manifest.artifacts):
        raise VerifyError(f"{MANIFEST}: names no file, or one twice.")
    models = {name for name in map(_model_of, listed) if name}
    for artifact in manifest.artifacts:
        _require_model(artifact, models)
    if strangers := models - known:
        raise VerifyError(f"{few(strangers)}: {MANIFEST} does not know that model.")
    return (
        manifest,
        card_from(manifest),
    ), f"{manifest.name}, made by tfkd {manifest.tfkd_version}; {len(known)} models"


def _require_model(artifact: Artifact, models: set[str]) -> None:
    """Refuses a path that is not exactly that of a model among the listed files, before anything opens it."""
    if artifact.format not in FORMATS:
        raise VerifyError(f"{MANIFEST}: {artifact.path!r} has the format {artifact.format!r}, which nothing here runs.")
    if artifact.path not in models or not artifact.path.endswith(f".{artifact.format}"):
        raise VerifyError(f"{MANIFEST}: {artifact.path!r} is no {artifact.format} file of the bundle.")


def _model_of(name: str) -> str | None:
    """Returns the model that a file of the bundle is, or is a part of: an .mlpackage is a folder with a model in it."""
    path = PurePosixPath(name)
    for part in (*reversed(path.parents), path):
        format = FORMATS.get(part.suffix[1:])
        if format is not None and format.is_folder == (part != path):
            return part.as_posix()
    return None


def card_from(manifest: Manifest) -> Card:
    """Returns what every model of a bundle must say of itself.

    Raises:
        VerifyError: the manifest does not state it.
    """
    try:
        card = card_of(manifest.recipe, manifest.data.classes, manifest.data.fingerprint)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise VerifyError(
            f"{MANIFEST}: its recipe does not state name, author, license, version and description."
        ) from None
    if strangers := manifest.thresholds.keys() - set(manifest.data.classes):
        raise VerifyError(f"{MANIFEST}: has a threshold of {min(strangers)!r}, which is no class of its data.")
    return card.with_thresholds(values_by_name(manifest.thresholds))
