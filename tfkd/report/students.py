"""The table of the students that a recipe may name, with what they cost, and what their activations do."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from tfkd.models import STUDENTS
from tfkd.report import units

IMAGE_SIZE, CLASSES = 224, 1000
_FLOAT_BYTES, _INT8_BYTES = 4, 1


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
    """Returns every student's parameters, multiply-adds and bytes at 224 px with 1,000 classes."""
    table = Table(
        title=f"students at {IMAGE_SIZE} px with {CLASSES:,} classes, width 1",
        caption="bytes: of the weights alone, 4 or 1 for each parameter",
    )
    table.add_column("student")
    for name in ("parameters", "multiply-adds", "fp32", "int8"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, kind in STUDENTS.items():
        table.add_row(
            Text(name),
            f"{kind.parameters / 1e6:.2f} M",
            f"{kind.multiply_adds / 1e6:,.0f} M",
            units.size(_FLOAT_BYTES * kind.parameters),
            units.size(_INT8_BYTES * kind.parameters),
        )
    return table


def activation_table() -> Table:
    """Returns what each activation is known to do to the accuracy, with its source."""
    table = Table(title="student.activation: what is published of its effect on MobileNetV3")
    for name in ("activation", "accuracy", "source"):
        table.add_column(name, overflow="fold")
    for activation in ACTIVATIONS:
        table.add_row(activation.name, activation.accuracy, activation.source)
    return table
