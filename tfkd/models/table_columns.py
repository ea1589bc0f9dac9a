"""The first layers of models of tables: the columns of a row, and its encoding for a network."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.errors import RequestError
from tfkd.inputs.table.tensors import columns_text, parse_columns
from tfkd.signature import Column


@keras.saving.register_keras_serializable("tfkd")
class TableColumns(keras.layers.Layer):
    """Returns its input; a model with this layer carries the columns of its rows, also in its file.

    Args:
        columns: in the order of a row, or the text of columns.json.

    Raises:
        RequestError: the text is no list of columns.
    """

    def __init__(self, columns: Sequence[Column] | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        text = columns if isinstance(columns, str) else columns_text(columns)
        self.columns = parse_columns(text.encode(), "The text of a TableColumns layer")

    def call(self, row: Any) -> Any:
        """Returns float32 [batch, columns] unchanged."""
        return row

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of an equal layer."""
        return {**super().get_config(), "columns": columns_text(self.columns)}


@keras.saving.register_keras_serializable("tfkd")
class EncodedRow(keras.layers.Layer):
    """Encodes a row for a network: numbers standardized, a 1 in the place of each category.

    Args:
        columns: as of `TableColumns`.
    """

    def __init__(self, columns: Sequence[Column] | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        text = columns if isinstance(columns, str) else columns_text(columns)
        self.columns = parse_columns(text.encode(), "The text of an EncodedRow layer")
        parts = [
            (number, float(category), 1.0, True)
            if column.categories
            else (number, column.mean, column.deviation, False)
            for number, column in enumerate(self.columns)
            for category in range(max(1, len(column.categories)))
        ]
        places, centres, scales, equal = zip(*parts, strict=True)
        self._places, self._is_category = np.array(places, np.int32), np.array(equal)
        self._centres, self._scales = np.array(centres, np.float32), np.array(scales, np.float32)

    def call(self, row: Any) -> Any:
        """Returns float32 [batch, numbers and categories] of a row, float32 [batch, columns]."""
        values = tf.gather(row, self._places, axis=1)
        equal = tf.cast(tf.equal(values, self._centres), row.dtype)
        return tf.where(self._is_category, equal, (values - self._centres) / self._scales)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the encoded rows."""
        return (input_shape[0], len(self._places))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of an equal layer."""
        return {**super().get_config(), "columns": columns_text(self.columns)}


def table_row(columns: Sequence[Column]) -> tuple[Any, Any]:
    """Returns the input of a model of tables, float32 [batch, columns], and the same behind a `TableColumns`."""
    row = keras.Input((len(columns),), dtype="float32", name="row")
    return row, TableColumns(columns, name="table_columns")(row)


def in_front(columns: Sequence[Column], model: keras.Model) -> keras.Model:
    """Returns a model of rows with its columns; one that has them is unchanged.

    Raises:
        RequestError: the model has other columns.
    """
    known = next((layer for layer in model.layers if isinstance(layer, TableColumns)), None)
    if known is None:
        row, checked = table_row(columns)
        return keras.Model(row, model(checked), name=model.name)
    if [each.name for each in known.columns] != [each.name for each in columns]:
        raise RequestError(f"{model.name} was made for other columns than those of the data; train it again.")
    return model
