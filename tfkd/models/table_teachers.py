"""Teachers of tables: a multi-layer perceptron that is trained here, and Keras models over rows of the user's own."""

from collections.abc import Sequence

import keras

from tfkd.errors import RequestError
from tfkd.models.table_columns import EncodedRow, table_row
from tfkd.recipe import Teacher
from tfkd.signature import Column

_WIDTHS = (256, 128)
_DROPPED = 0.2


def mlp(teacher: Teacher, columns: Sequence[Column], classes: int) -> keras.Model:
    """Builds two hidden layers with ReLU and dropout over standardized numbers and one-hot categories.

    Args:
        teacher: block of the recipe.
        columns: of the rows.
        classes: number of outputs.

    Raises:
        RequestError: the recipe asks for weights; there are none.
    """
    if teacher.weights != "none":
        raise RequestError(f"{teacher.model} has no published weights {teacher.weights!r}; leave weights out.")
    if teacher.fine_tune is None or not teacher.fine_tune.epochs:
        raise RequestError(f"{teacher.model} starts from random weights; set fine_tune.epochs, or leave fine_tune out.")
    row, checked = table_row(columns)
    x = EncodedRow(columns, name="encoded_row")(checked)
    for number, width in enumerate(_WIDTHS):
        x = keras.layers.Dense(width, "relu", name=f"hidden_{number}")(x)
        x = keras.layers.Dropout(_DROPPED, name=f"dropout_{number}")(x)
    return keras.Model(row, keras.layers.Dense(classes, name="head")(x), name=teacher.model)
