import dataclasses
import io
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from rich.console import Console

from tfkd.report.inspection import plot, tables
from tfkd.verification.delegates import DelegateFinding, DelegateReport
from tfkd.verification.inspect import Inspection, Row
from tfkd.verification.noise import Noise, NoiseComparison

ROWS = (
    Row(0, "QUANTIZE", "tfl.quantize", (1, 8, 8, 3), "int8", 0, 0, None),
    Row(1, "CONV_2D", "net/$conv[bold]/Relu6", (1, 8, 8, 4), "int8", 1_500, 12_300_000, 0),
    Row(2, "CONV_2D", "net/conv_1/Relu6", (1, 8, 8, 4), "int8", 500, 300_000, 0),
    Row(3, "HARD_SWISH", "net/swish", (1, 8, 8, 4), "int8", 0, 0, None),
)
COMPARISON = NoiseComparison(
    "bundle/net_fp32.tflite",
    32,
    "pixels as they are (uint8 input)",
    "RGB from 0 to 255 (its metadata)",
    (
        Noise(1, "CONV_2D", "net/$conv[bold]/Relu6", 0, 31.25),
        Noise(2, "CONV_2D", "net/conv_1/Relu6", 1, 12.04),
        Noise(3, "HARD_SWISH", "net/swish", 2, None),
    ),
    (),
)
GPU = DelegateReport("GPU", 4, 4, (), ("https://example.org",), "fast")
COREML = DelegateReport(
    "Core ML",
    4,
    2,
    tuple(DelegateFinding(number, "CONV_2D", "x", "left out", "int8 is not taken", "ship fp32") for number in (1, 2)),
    ("https://example.org",),
    "float",
)
INSPECTION = Inspection("bundle/net_int8.tflite", 4_000, 3_000, 2_000, 1_216, 12_600_000, ROWS, 1, (GPU, COREML), None)


def printed(inspection: Inspection) -> str:
    console = Console(file=io.StringIO(), width=120)
    for table in tables(inspection):
        console.print(table)
    file: Any = console.file
    return file.getvalue()


def cells(text: str, first: str) -> list[str]:
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    return next(line for line in lines if line[0] == first)


def test_operators_are_summed_by_kind() -> None:
    text = printed(INSPECTION)
    assert cells(text, "CONV_2D") == ["CONV_2D", "2", "", "2.00 kB", "12.60 M", "int8"]
    assert cells(text, "HARD_SWISH")[2] == "1"
    assert "net_int8.tflite: 4.00 kB, deflated 3.00 kB" in text
    assert "1 partition with 2 operators outside" in " ".join(text.split())


def test_operators_outside_a_delegate_are_shown_with_the_remedy() -> None:
    text = printed(INSPECTION)
    assert cells(text, "Core ML")[:4] == ["Core ML", "2", "2", "0"]
    assert "2 CONV_2D" in text and "int8 is not taken" in text and "ship fp32" in text
    assert "student.activation=relu6" in next(line for line in text.splitlines() if "1 HARD_SWISH" in line)


def test_the_noisiest_layers_come_first() -> None:
    text = printed(dataclasses.replace(INSPECTION, comparison=COMPARISON))
    noise = text[text.index("noisiest of 3 layers") :]
    assert noise.index("12.0 dB") < noise.index("31.2 dB") < noise.index("no noise")
    assert "net/$conv[bold]/Relu6" in noise
    assert "noisiest" not in printed(INSPECTION)


def test_the_plot_is_an_svg_and_always_the_same() -> None:
    drawn = plot(COMPARISON)
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert drawn == plot(COMPARISON)
    assert drawn != plot(dataclasses.replace(COMPARISON, images=31))


@pytest.mark.parametrize("layers", [(), COMPARISON.layers[2:]])
def test_nothing_to_draw_is_drawn_too(layers: tuple[Noise, ...]) -> None:
    assert "<svg" in plot(dataclasses.replace(COMPARISON, layers=layers))
