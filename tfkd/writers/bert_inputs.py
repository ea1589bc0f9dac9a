"""Gives a TFLite file of a text model the form that MediaPipe's TextClassifier takes and XNNPACK runs as one part."""

from typing import Any

import numpy as np

from tfkd.inputs.text.tensors import NAME
from tfkd.writers.flatbuffer import TfliteNetwork
from tfkd.writers.graph import OUTPUT

BERT_INPUTS = (NAME, "mask", "segment_ids")  # as MediaPipe names them in metadata; the model reads the first alone


def with_bert_inputs(content: bytes) -> bytes:
    """Adds the two inputs that the model does not read, and lets the look-up of word vectors run first.

    XNNPACK does not run the look-up. In front of all other operators it does not cut the graph.

    Args:
        content: TFLite, int32 [1, length] ids of a text to probabilities [1, classes].
    """
    network = TfliteNetwork(content)
    (ids,) = (int(tensor) for tensor in network.graph.inputs)
    shape = network.shape(ids)
    network.graph.tensors[ids].name = NAME.encode()
    network.graph.inputs = [ids, *(network.add_tensor(name, shape, np.int32) for name in BERT_INPUTS[1:])]
    first = _look_up(network, ids)
    network.graph.operators = first + [operator for operator in network.graph.operators if operator not in first]
    network.sign(*BERT_INPUTS, OUTPUT)
    return network.packed()


def _look_up(network: TfliteNetwork, ids: int) -> list[Any]:
    """Returns the operators that look up word vectors, with those that widen their tables from float16 weights."""
    makers = {int(operator.outputs[0]): operator for operator in network.graph.operators}
    found = []
    for operator in network.graph.operators:
        if network.kind(operator) == "GATHER" and operator.inputs[1] == ids:
            maker = makers.get(int(operator.inputs[0]))
            if maker is None:
                found.append(operator)
            elif network.constant(int(maker.inputs[0])) is not None:
                found.extend([maker, operator])
    return found
