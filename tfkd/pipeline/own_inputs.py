"""Opens the model of a `tfkd export` request, by its kind of input.

Adding a kind touches its own function and one line below.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd.errors import RequestError, enumerated
from tfkd.inputs.image.normalization import parse
from tfkd.inputs.image.tensors import side_of
from tfkd.inputs.text import vocabulary
from tfkd.inputs.text.bert_folders import vocabulary_file
from tfkd.pipeline.own_request import Request
from tfkd.progress import Progress
from tfkd.quiet import native_logs_silenced

if TYPE_CHECKING:
    from tfkd.writers.own import OwnModel


def opened(request: Request, in_memory: Any, progress: Progress) -> "OwnModel":
    """Opens a model.

    Args:
        request: the request.
        in_memory: a keras.Model in memory; None for that of the request's file.
        progress: shows how the raw values are changed.

    Raises:
        RequestError: the model cannot be opened, or does not fit the request.
    """
    if request.kind not in _OPENED:
        known = enumerated([f"{kind}s" for kind in _OPENED], "or")
        raise RequestError(f"tfkd export opens models of {known}, not of {request.kind}s; make those by tfkd run.")
    return _OPENED[request.kind](request, in_memory, progress)


def _of_images(request: Request, in_memory: Any, progress: Progress) -> "OwnModel":
    with native_logs_silenced():  # TensorFlow is loaded here
        from tfkd.models.foreign import from_memory
        from tfkd.writers import own

    normalization, size = parse(request.normalization, "--normalization"), request.image_size
    if normalization.changes:
        progress.say(f"pixels: {request.normalization} = {normalization}")
    if in_memory is None:
        model = own.load(Path(request.model), normalization, request.allow_code, request.imports, size)
    else:
        model = own.of_images(from_memory(in_memory, request.name, size), request.name, normalization)
    if size not in (None, side := side_of(model.signature)):
        raise RequestError(f"{model.name} takes images of {side} x {side} pixels, not {size}; leave image_size out.")
    return model


def _of_texts(request: Request, in_memory: Any, progress: Progress) -> "OwnModel":
    with native_logs_silenced():
        from tfkd.models import foreign_ids, token_ids
        from tfkd.writers import own

    place = request.vocabulary
    pieces = None if place is None else vocabulary.read(vocabulary_file(place)).pieces
    name = request.name if in_memory is not None else Path(request.model).name
    if in_memory is None:
        model = foreign_ids.open_ids_model(
            Path(request.model), length=request.tokens, imports=request.imports, allow_code=request.allow_code
        )
    else:
        model = foreign_ids.from_memory(in_memory, name, request.tokens)
    if pieces is not None:
        model = token_ids.with_trained_vocabulary(pieces, model, str(place), name)
    elif not token_ids.has_vocabulary(model):
        raise RequestError(f"{name} does not say the vocabulary of its ids; name it: `--vocabulary vocab.txt`.")
    for warning in token_ids.vocabulary_warnings(model, name):
        progress.say(f"warning: {warning}")
    return own.of_texts(model, name)


_OPENED: Mapping[str, Callable[[Request, Any, Progress], "OwnModel"]] = {"image": _of_images, "text": _of_texts}
