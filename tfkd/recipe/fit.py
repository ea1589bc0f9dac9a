"""Settings of `tfkd fit`: the students to try, and the budget of the one that ships."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tfkd.recipe.base import Block, Separated
from tfkd.recipe.export import TflitePrecision
from tfkd.recipe.student import Activation

LIMITS = ("max_ms", "max_kb", "max_mb", "max_instructions")
FAMILIES = ("mobilenet_v3_small", "mobilenet_v4_conv_small", "mobilenet_v2", "squeezenet_1_1")
TEXT_FAMILIES = ("word_average", "text_convolution", "text_transformer")

Limit = Annotated[float | None, Field(gt=0)]
Width = Annotated[float, Field(ge=0.1, le=4)]
Size = Annotated[int, Field(ge=32, le=1024)]
Layers = Annotated[int, Field(ge=1, le=24)]


class Fit(Block):
    """The candidates for a student, and its budget: every family with every width, and size and activation or layers.

    A limit of None is none. The limits apply to the file that ships, on the target.
    """

    families: Annotated[list[str], Separated] = Field(
        [],
        max_length=20,
        description="students to try: names from `tfkd list students`, or package.module:function; default: "
        f"student.model and {', '.join(FAMILIES)}, for texts {', '.join(TEXT_FAMILIES)}",
    )
    widths: Annotated[list[Width], Separated] = Field(
        [0.5, 0.75, 1.0], min_length=1, max_length=20, description="multipliers of the number of channels"
    )
    sizes: Annotated[list[Size], Separated] = Field(
        [],
        max_length=20,
        description="sides of the student's square input, pixels; default: data.image_size and two thirds of it",
    )
    activations: Annotated[list[Activation], Separated] = Field([], description="default: student.activation")
    layers: Annotated[list[Layers], Separated] = Field(
        [], max_length=20, description="numbers of layers of text_transformer; default: student.layers"
    )
    ships: TflitePrecision | Literal["auto"] = Field(
        "auto", description="form of the file that ships, as in export.tflite; auto: int8, for texts dynamic"
    )
    target: str = Field("host", description="bench target on which the files are measured, e.g. android:SERIAL")
    max_ms: Limit = Field(None, description="median latency, milliseconds")
    max_kb: Limit = Field(None, description="size of the file, kB of 1,000 bytes")
    max_mb: Limit = Field(None, description="peak memory, MB of 1,000,000 bytes")
    max_instructions: Limit = Field(None, description="instructions of one inference")
    min_relative_accuracy: float = Field(
        0.95, gt=0, le=2, description="student accuracy / teacher accuracy on the test split, e.g. 0.95"
    )
    rounds: int = Field(2, ge=1, le=6, description="rounds of successive halving before the final trainings")
    keep: float = Field(1 / 3, gt=0, lt=1, description="fraction of the candidates of a round that go on")
    finalists: int = Field(2, ge=1, description="candidates that run the whole recipe")
    hours: Limit = Field(None, description="time for one call; rounds are cut short so that the final trainings fit in")

    @field_validator("families", "widths", "sizes", "activations", "layers")
    @classmethod
    def _once_each(cls, value: list[object]) -> list[object]:
        if len(set(value)) != len(value):
            raise ValueError("lists a value twice; list each once")
        return value

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by their names."""
        return {name: limit for name in LIMITS if (limit := getattr(self, name)) is not None}
