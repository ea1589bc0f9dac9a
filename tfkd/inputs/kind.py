"""What every kind of input gives to the rest of tfkd."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfkd.recipe import Data
from tfkd.signature import Signature


class ExampleError(Exception):
    """An example cannot be read; the text is the reason."""


@dataclass(frozen=True)
class Description:
    """What an exported file says of its input.

    Attributes:
        tflite: the sentence in a `.tflite` file's metadata.
        coreml: the sentence in a Core ML file.
        properties: what the formats state in fields of their own, by the kind's names.
    """

    tflite: str
    coreml: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        name: in `tfkd.inputs.KINDS` and in signatures.
        signature: maps a recipe's data to what the student takes.
        signature_of: maps a keras.Model, such as a teacher with an input of its own, to what it takes; raises a
            RequestError where that is no input of this kind.
        describe: maps a signature to what exported files say of it.
        golden_suffix: of the files of golden examples.
        encode_golden: maps one raw example, as the student takes it, to the bytes of its golden file.
        decode_golden: maps the bytes of a golden file and the signature to the example; raises an ExampleError.
        encode_shown: maps one raw example to the base64 text that the report embeds.
        shown_type: maps such a text to its media type; raises a ValueError where it is none.
    """

    name: str
    signature: Callable[[Data], Signature]
    signature_of: Callable[[Any], Signature]
    describe: Callable[[Signature], Description]
    golden_suffix: str
    encode_golden: Callable[[Any], bytes]
    decode_golden: Callable[[bytes, Signature], Any]
    encode_shown: Callable[[Any], str]
    shown_type: Callable[[str], str]
