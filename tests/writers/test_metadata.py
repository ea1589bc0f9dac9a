"""The metadata is read here by slot numbers of the published schema, with flatbuffers' own reader."""

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from flatbuffers.number_types import Float32Flags, Int8Flags, Uint32Flags

from tests.writers.conftest import SIZE, Exported


class Reader:
    """A table of a flatbuffer whose fields are asked for by slot."""

    def __init__(self, content: bytes, position: int) -> None:
        self.table = flatbuffers.table.Table(bytearray(content), position)

    def offset(self, slot: int) -> int:
        return self.table.Offset(4 + 2 * slot)

    def text(self, slot: int) -> str:
        return self.table.String(self.table.Pos + self.offset(slot)).decode()

    def number(self, slot: int, flags: Any) -> Any:
        return self.table.Get(flags, self.table.Pos + self.offset(slot))

    def child(self, slot: int) -> "Reader":
        return Reader(self.table.Bytes, self.table.Indirect(self.table.Pos + self.offset(slot)))

    def children(self, slot: int) -> list["Reader"]:
        start, length = self.table.Vector(self.offset(slot)), self.table.VectorLen(self.offset(slot))
        return [Reader(self.table.Bytes, self.table.Indirect(start + 4 * index)) for index in range(length)]

    def floats(self, slot: int) -> list[float]:
        start, length = self.table.Vector(self.offset(slot)), self.table.VectorLen(self.offset(slot))
        return [self.table.Get(Float32Flags, start + 4 * index) for index in range(length)]


def metadata_of(exported: Exported) -> Reader:
    model = schema.Model.GetRootAsModel(exported.path("_int8.tflite").read_bytes(), 0)
    entries = {model.Metadata(index).Name(): model.Metadata(index).Buffer() for index in range(model.MetadataLength())}
    content = model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()
    assert content[4:8] == b"M001"
    return Reader(content, int.from_bytes(content[:4], "little"))


def test_it_names_its_author(exported: Exported) -> None:
    model = metadata_of(exported)
    assert [model.text(slot) for slot in (0, 1, 2, 4, 5, 7)] == [
        "tiny",
        "Tells cats from dogs",
        "3",
        "Ada",
        "MIT",
        "1.0.0",
    ]


def test_input_is_an_rgb_image_that_needs_no_normalisation(exported: Exported) -> None:
    (subgraph,) = metadata_of(exported).children(3)
    (image,) = subgraph.children(2)
    assert image.text(0) == "image"
    content = image.child(3)
    assert content.number(0, Int8Flags) == 2, "ImageProperties"
    assert content.child(1).number(0, Int8Flags) == 1, "RGB"
    size = content.child(1).child(1)
    assert (size.number(0, Uint32Flags), size.number(1, Uint32Flags)) == (SIZE, SIZE)
    (unit,) = image.children(4)
    assert unit.number(0, Int8Flags) == 1, "NormalizationOptions"
    assert (unit.child(1).floats(0), unit.child(1).floats(1)) == ([0.0], [1.0])


def test_output_names_its_label_file(exported: Exported) -> None:
    (subgraph,) = metadata_of(exported).children(3)
    (probabilities,) = subgraph.children(3)
    (labels,) = probabilities.children(6)
    assert (labels.text(0), labels.number(2, Int8Flags)) == ("labels.txt", 2)
