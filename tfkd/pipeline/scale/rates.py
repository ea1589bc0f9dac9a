"""How fast a machine does each part of the work, and the file that holds it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tfkd import files, strict_json
from tfkd.errors import RequestError, counted, first_fault
from tfkd.records import Entry, Number

RATES_SCHEMA: Literal["tfkd-rates-1"] = "tfkd-rates-1"
MEMBER = "rates"  # of the JSON of `tfkd plan --json` and gpu_check.py
_LARGEST = 1 << 20  # bytes of a file
_REPEAT = "Write it again with `tfkd plan --json` or tools/benchmarks/gpu_check.py."

_Rate = Annotated[float, Field(ge=1e-6, le=1e15)]
_Bytes = Annotated[float, Field(ge=1, le=1e12)]


class MeasuredRate(Entry):
    """A number per second over some rounds."""

    median: _Rate
    min: _Rate
    max: _Rate


class TeacherRates(Entry):
    """The speed of one teacher on one device, examples per second."""

    name: str
    predicting: MeasuredRate
    training: MeasuredRate


class Rates(Entry):
    """What was measured on one machine with the networks of one recipe.

    A device is one GPU, or without a GPU all cores of the machine together.
    """

    schema_: Literal["tfkd-rates-1"] = Field(RATES_SCHEMA, alias="schema")
    student: str = Field(description="name of the student")
    input: str = Field(description="the student's input, e.g. 224 x 224 x 3")
    classes: Number
    processor: str
    cores: Number = Field(description="of the machine")
    gpu: str | None = Field(description="name of the GPU; null: none")
    checking: MeasuredRate = Field(description="examples read, decoded and hashed per second by one core")
    viewing: MeasuredRate = Field(description="training views read, decoded and augmented per second by one core")
    teachers: Annotated[list[TeacherRates], Field(min_length=1)]
    training: MeasuredRate = Field(description="examples per second that one device trains the student on")
    hashing: MeasuredRate = Field(description="bytes per second whose SHA-256 one core computes")
    reading: MeasuredRate = Field(description="bytes per second read from the disk, without its cache")
    writing: MeasuredRate = Field(description="bytes per second written to the disk and flushed")
    example_bytes: _Bytes = Field(description="mean size of an encoded example")
    view_bytes: _Bytes = Field(description="size of all teachers' stored predictions of one view")
    views_per_shard: Number

    @property
    def predicting(self) -> float:
        """Views per second that one device takes through all teachers."""
        return 1.0 / sum(1.0 / teacher.predicting.median for teacher in self.teachers)

    @property
    def device(self) -> str:
        """The name of the device."""
        return self.gpu or f"{self.cores} cores of {self.processor}"

    @property
    def networks(self) -> str:
        """What the rates are of: teachers, student, its input and the number of classes."""
        return networks_of([teacher.name for teacher in self.teachers], self.student, self.input, self.classes)


def networks_of(teachers: list[str], student: str, shape: str, classes: int) -> str:
    """Returns the networks of a recipe in one phrase: 'a teaches b on 224 x 224 x 3, 10 classes'."""
    return f"{' and '.join(teachers)} teaching {student} on {shape}, {counted(classes, 'class', 'es')}"


def read_rates(path: Path) -> Rates:
    """Reads the rates from the JSON of `tfkd plan --json` or tools/benchmarks/gpu_check.py.

    Raises:
        RequestError: the file cannot be read, or holds no rates of this schema.
    """
    content = files.read_regular(path, _LARGEST)
    if len(content) > _LARGEST:
        raise RequestError(f"{path} is larger than {_LARGEST:,} bytes, which no file of rates is. {_REPEAT}")
    try:
        return Rates.model_validate(_member(path, strict_json.parsed(content)), strict=True)
    except strict_json.JsonError as error:
        raise RequestError(f"{path} {error}. {_REPEAT}") from None
    except ValidationError as error:
        raise RequestError(f"{path}: {MEMBER}.{first_fault(error)}. {_REPEAT}") from None


def _member(path: Path, value: Any) -> Any:
    rates = value.get(MEMBER) if isinstance(value, dict) else None
    if not isinstance(rates, dict) or "schema" not in rates:
        raise RequestError(f"{path} is no file of rates: it has no member {MEMBER!r} with a schema. {_REPEAT}")
    if rates["schema"] != RATES_SCHEMA:
        raise RequestError(
            f"{path} has rates of the schema {strict_json.quoted(rates['schema'])}, this version reads "
            f"{RATES_SCHEMA!r}. {_REPEAT}"
        )
    return rates


def require_same_networks(path: str, rates: Rates, networks: str) -> None:
    """Refuses rates of other networks than a recipe's.

    Raises:
        RequestError: they differ from the result of `networks_of`.
    """
    if rates.networks != networks:
        raise RequestError(
            f"{path} has the rates of {rates.networks}; needed are those of {networks}. Measure them with "
            "tools/benchmarks/gpu_check.py --recipe RECIPE, or leave --rates out."
        )
