"""The tensor of a row, the columns that it consists of, and its description in exported files."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tfkd.errors import RequestError, counted, first_fault
from tfkd.inputs.kind import Description
from tfkd.signature import Column, InputTensor, Signature
from tfkd.strict_json import JsonError, parsed

NAME = "row"
COLUMNS = "columns.json"  # file of the columns, in a bundle and in a .tflite file
TABLE_COLUMNS = "TableColumns"  # class of the first layer of a model of tables, which holds the columns
MOST_COLUMNS = 1_000
_LARGEST = 1 << 24  # bytes of the file of the columns

_LISTED = TypeAdapter(list[Column], config=ConfigDict(extra="forbid", allow_inf_nan=False, strict=True))


def signature(columns: Sequence[Column]) -> Signature:
    """Returns the signature of a row: float32 [columns], with any number in a column of numbers."""
    return Signature("table", (InputTensor(NAME, (len(columns),), "float32"),), columns=tuple(columns))


def signature_of(model: Any) -> Signature:
    """Returns the signature of a model of rows.

    Args:
        model: keras.Model, float [batch, columns], with a layer `tfkd.models.table_columns.TableColumns`.

    Raises:
        RequestError: its input is another one, or its columns are unknown.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ == TABLE_COLUMNS]
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(layers) != 1 or shapes != [(None, len(layers[0].columns))]:
        raise RequestError(
            f"Model {model.name!r} takes {' and '.join(map(str, shapes))} and has "
            f"{counted(len(layers), f'{TABLE_COLUMNS} layer')}, and needs one that says the columns of its rows."
        )
    return signature(layers[0].columns)


def columns_text(columns: Sequence[Column]) -> str:
    """Returns the content of columns.json: what is known of each column, in order."""
    return json.dumps(_LISTED.dump_python(list(columns)), indent=2, ensure_ascii=False) + "\n"


def parse_columns(content: bytes, name: str) -> tuple[Column, ...]:
    """Reads columns.json; nothing in it is trusted.

    Args:
        content: of the file.
        name: of the file, for messages.

    Raises:
        RequestError: it is no list of columns.
    """
    advice = "Take the file that was exported with the model."
    if len(content) > _LARGEST:
        raise RequestError(f"{name} is larger than {_LARGEST >> 20} MiB. {advice}")
    try:
        parsed(content)
        columns = tuple(_LISTED.validate_json(content))
    except ValidationError as error:
        raise RequestError(f"{name} is no list of columns: {first_fault(error)}. {advice}") from None
    except JsonError as error:
        raise RequestError(f"{name} is no list of columns: it {error}. {advice}") from None
    if not 1 <= len(columns) <= MOST_COLUMNS or any(column.deviation <= 0 for column in columns):
        raise RequestError(f"{name} has {len(columns):,} columns, or one without a positive deviation. {advice}")
    if len({column.name for column in columns}) < len(columns):
        raise RequestError(f"{name} names a column twice. {advice}")
    return columns


def describe(signature: Signature) -> Description:
    """Returns what files say of a row: its property is the number of columns."""
    count = len(signature.columns)
    row = f"A row of {counted(count, 'number')} in the order of {COLUMNS}"
    categories = "of a category its number in the list of its column, or how many there are for any other"
    read = f"a row of {counted(count, 'number')}, float32, in the order of {COLUMNS}; {categories}."
    return Description(
        tflite=f"{row}; {categories}.",
        coreml=f"{row}; {categories}.",
        size=counted(count, "column"),
        advice=f"Give the model raw values in the order of {COLUMNS}, and {categories}. The model needs no other "
        "preparation.",
        properties={"columns": count},
        apps={"litert": read, "coreml": f"The input is {read}"},
    )
