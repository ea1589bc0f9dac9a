"""The look-up of word vectors in a .tflite file of a text model, which XNNPACK never runs."""

from collections.abc import Mapping, Sequence
from typing import Any


def look_up(operators: Sequence[Mapping[str, Any]], ids: int) -> list[int]:
    """Returns the numbers of the operators that look up word vectors, in order; none in a file without a look-up.

    These are one GATHER by the ids of the text from a table that the file holds, and the DEQUANTIZE that widens this
    table once where it is of float16.

    Args:
        operators: LiteRT's description of those of the file.
        ids: number of the input tensor.
    """
    makers = {int(output): operator for operator in operators for output in operator["outputs"]}
    for operator in operators:
        if operator["op_name"] == "GATHER" and operator["inputs"][1] == ids:
            maker = makers.get(int(operator["inputs"][0]))
            if maker is None:
                return [operator["index"]]
            if maker["op_name"] == "DEQUANTIZE" and int(maker["inputs"][0]) not in makers:
                return [maker["index"], operator["index"]]
    return []
