"""The tables of the students that a recipe may name, with what they cost, and what their activations do."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from tfkd.models import Pretrained, StudentCost, students_of
from tfkd.report import units

IMAGE_SIZE, CLASSES = 224, 1000
TOKENS, PIECES = 64, 8192
REFERENCE = "mobilenet_v3_small"
MEASURED_ON = "Intel(R) Xeon(R) Processor (AVX2, AVX-512, VNNI, BF16, AMX)"  # docs/evidence/student_latency.json


@dataclass(frozen=True)
class PublishedActivation:
    """What is published of an activation's effect on the accuracy."""

    name: str
    accuracy: str
    source: str


_HOWARD = "Howard et al. 2019, arXiv:1905.02244"

ACTIVATIONS = (
    PublishedActivation(
        "hard_swish", "the paper's own: 75.2 % top-1 with MobileNetV3-Large on ImageNet", f"{_HOWARD}, table 5"
    ),
    PublishedActivation("relu", "0.7 points less than hard_swish, same network", f"{_HOWARD}, table 5"),
    PublishedActivation("relu6", "not published for this network", "–"),
    PublishedActivation("silu", "no discernible difference from hard_swish", f"{_HOWARD}, section 5.2"),
)


def cost_table() -> Table:
    """Returns what every student of images costs at 224 px with 1,000 classes, and whether it has ImageNet weights."""
    table = Table(
        title=f"students of images at {IMAGE_SIZE} px with {CLASSES:,} classes, width 1",
        caption=f"latency: of the .tflite file with relu6, one thread of {MEASURED_ON}, relative to {REFERENCE}; "
        "ImageNet weights: the activation that they need, and where they are",
    )
    table.add_column("student")
    for name in ("parameters", "multiply-adds", "int8 file", "int8 latency", "fp32 latency"):
        table.add_column(name, justify="right")
    table.add_column("ImageNet weights", overflow="fold")
    for name, kind in students_of("image").items():
        table.add_row(
            Text(name),
            f"{kind.parameters / 1e6:.2f} M",
            f"{kind.multiply_adds / 1e6:,.0f} M",
            *_measured(kind.measured),
            Text(_pretrained(kind.pretrained)),
        )
    return table


def text_table() -> Table:
    """Returns what every student of texts costs at 64 tokens with 1,000 classes, and the settings of its own."""
    table = Table(
        title=f"students of texts at {TOKENS} tokens with {PIECES:,} pieces and {CLASSES:,} classes, width 1",
    )
    table.add_column("student")
    for name in ("parameters", "multiply-adds"):
        table.add_column(name, justify="right")
    table.add_column("options")
    for name, kind in students_of("text").items():
        options = ", ".join(kind.options) or "–"
        table.add_row(name, f"{kind.parameters / 1e6:.2f} M", f"{kind.multiply_adds / 1e6:,.1f} M", options)
    return table


def table_table() -> Table:
    """Returns the students of tables, which are as large as what they are fitted to, and their settings."""
    table = Table(title="students of tables")
    table.add_column("student")
    table.add_column("options")
    for name, kind in students_of("table").items():
        table.add_row(name, ", ".join(kind.options))
    return table


def _measured(measured: StudentCost | None) -> list[str]:
    if measured is None:
        return ["not measured"] * 3
    latencies = (measured.int8_latency, measured.fp32_latency)
    return [units.size(measured.int8_bytes), *(f"× {latency:.2f}" for latency in latencies)]


def _pretrained(pretrained: Pretrained | None) -> str:
    return f"{pretrained.activation}: {pretrained.install or 'download by Keras'}" if pretrained else "–"


def activation_table() -> Table:
    """Returns what each activation is known to do to the accuracy, with its source."""
    table = Table(title="student.activation: what is published of its effect on MobileNetV3")
    for name in ("activation", "accuracy", "source"):
        table.add_column(name, overflow="fold")
    for activation in ACTIVATIONS:
        table.add_row(activation.name, activation.accuracy, activation.source)
    return table
