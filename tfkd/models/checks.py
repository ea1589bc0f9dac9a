"""Checks of classifiers: one example of a kind of input in, one row of numbers out."""

from typing import Any

from tfkd.errors import RequestError


def require_image_classifier(
    model: Any, name: str, image_size: int | None, classes: int, counted: str | None = None
) -> None:
    """Refuses a model unless it maps one square RGB image to one row of numbers.

    Args:
        model: what a file or a function gave.
        name: of the model in messages.
        image_size: side of the image, pixels; None for any.
        classes: numbers in the row.
        counted: why there must be so many; default: the classes of the data.

    Raises:
        RequestError: it is another model, or none.
    """
    shape = _input_shape(model, name)
    if len(shape) != 4 or shape[3] != 3 or shape[1] is None or shape[1] != shape[2]:
        raise RequestError(f"{name} takes {shape}; a classifier here takes (None, S, S, 3) raw RGB.")
    if image_size not in (None, shape[1]):
        raise RequestError(f"{name} takes {shape[1]} px images but image_size is {image_size}; make them equal.")
    _require_outputs(model, name, classes, counted)


def require_text_classifier(model: Any, name: str, length: int, classes: int, counted: str | None = None) -> None:
    """Refuses a model unless it maps the ids of one text to one row of numbers.

    Args:
        length: number of ids.
        others: as of `require_image_classifier`.

    Raises:
        RequestError: it is another model, or none.
    """
    shape = _input_shape(model, name)
    dtype = str(model.inputs[0].dtype)
    if shape != (None, length) or "int" not in dtype:
        raise RequestError(
            f"{name} takes {dtype} {shape}; a classifier of texts here takes int32 (None, {length}), ids of pieces."
        )
    _require_outputs(model, name, classes, counted)


def require_table_classifier(model: Any, name: str, columns: int, classes: int) -> None:
    """Refuses a model unless it maps one row of a table to one row of numbers.

    Args:
        columns: numbers of a row.
        others: as of `require_image_classifier`.

    Raises:
        RequestError: it is another model, or none.
    """
    shape = _input_shape(model, name)
    if shape != (None, columns) or "float" not in str(model.inputs[0].dtype):
        raise RequestError(
            f"{name} takes {model.inputs[0].dtype} {shape}; these rows are float32 (None, {columns}), a number per "
            "column that is not constant; name the columns in data.columns."
        )
    _require_outputs(model, name, classes, None)


def _input_shape(model: Any, name: str) -> tuple[int | None, ...]:
    """Returns the shape of the only input."""
    import keras

    if not isinstance(model, keras.Model):
        raise RequestError(f"{name} gave a {type(model).__name__}, not a keras.Model.")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise RequestError(
            f"{name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; give it one of each."
        )
    return tuple(model.inputs[0].shape)


def _require_outputs(model: Any, name: str, classes: int, counted: str | None) -> None:
    shape = tuple(model.outputs[0].shape)
    if shape != (None, classes):
        counted = counted or f"the data has {classes} classes"
        raise RequestError(f"{name} gives {shape}, but {counted}: (None, {classes}) is needed.")
