"""The options of each bench target: one frozen record per target, with exactly the options that it reads.

The flags of `tfkd bench` are created from these records, so this module has no slow imports. An option has the same
name, type and default on every target that reads it.
"""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from typer import Option

from tfkd import arguments
from tfkd.errors import RequestError

ALL_CORES = 0
DELEGATES = ("cpu", "gpu", "npu")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The options of every target that measures time.

    Attributes:
        runs: timed inferences per file and number of threads, rounded up to a multiple of the number of processes.
        warmup: minimum number of untimed inferences before them in each process; more follow until the latency is
            steady.
        patience: seconds without a sign of life after which a wait ends.
    """

    runs: Annotated[int, Option(min=1, max=100_000, help="timed inferences per file")] = 300
    warmup: Annotated[int, Option(min=0, max=10_000, help="untimed inferences per process, at least")] = 10
    patience: Annotated[float, Option(min=1, help="seconds without a sign of life before giving up")] = 120


@dataclass(frozen=True, kw_only=True)
class RunnerOptions(Timing):
    """The options of every target that measures with tfkd's own runner.

    Attributes:
        processes: number of processes that share the runs, one after the other.
        threads: numbers of threads; ALL_CORES is one of them.
    """

    processes: Annotated[int, Option(min=1, max=50, help="processes that share the runs, one after the other")] = 10
    threads: Annotated[tuple[int, ...], Option(min=0, max=256, help="threads, repeatable; 0: all cores")] = (
        1,
        ALL_CORES,
    )


@dataclass(frozen=True, kw_only=True)
class HostOptions(RunnerOptions):
    """The options of `host`."""


@dataclass(frozen=True, kw_only=True)
class SshOptions(RunnerOptions):
    """The options of `ssh`.

    Attributes:
        ssh_config: OpenSSH configuration file to use instead of the user's own.
        python: Python interpreter on the board.
    """

    ssh_config: Annotated[Path | None, Option(help="ssh: an OpenSSH configuration file")] = None
    python: Annotated[str, Option(help="ssh: Python interpreter on the board")] = "python3"


@dataclass(frozen=True, kw_only=True)
class AndroidOptions(RunnerOptions):
    """The options of `android`; each way to measure reads some of them.

    Attributes:
        benchmark_model: a `benchmark_model` or `benchmark_litert_model` binary for android_arm64.
        profile: folder for that binary's operator profiles, one CSV per file.
        delegate: delegates that run the graphs, names of DELEGATES; if empty, the binary uses the CPU, and the app all
            delegates of the device.
        cores: numbers of the cores to run on; if empty, all but the slowest kind.
        cooling: seconds to wait for a hot device.
        keep: leave the files on the device, so that the next run need not copy them.

    Raises:
        RequestError: there is no such delegate.
    """

    benchmark_model: Annotated[
        Path | None, Option(help="android: your benchmark_model binary, TFLite's or LiteRT's")
    ] = None
    profile: Annotated[Path | None, Option(help="android: folder for that binary's operator profiles")] = None
    delegate: Annotated[tuple[str, ...], Option(help="android: cpu, gpu or npu, repeatable; the app measures all")] = ()
    cores: Annotated[tuple[int, ...], Option(min=0, help="android: core to run on, repeatable")] = ()
    cooling: Annotated[float, Option(min=0, help="android: seconds to wait for a hot device")] = 300
    keep: Annotated[bool, Option("--keep", help="android: leave the files on the device for the next run")] = False

    def __post_init__(self) -> None:
        """Checks the names of the delegates."""
        for name in self.delegate:
            if name not in DELEGATES:
                raise RequestError(f"There is no delegate {name!r}. Known: {', '.join(DELEGATES)}.")


@dataclass(frozen=True, kw_only=True)
class Arm64Options:
    """The options of `arm64`: none, since a count of instructions needs no repetition."""


@dataclass(frozen=True, kw_only=True)
class IosOptions(Timing):
    """The options of `ios`; the threads are Core ML's own choice."""


AnyOptions = HostOptions | SshOptions | AndroidOptions | Arm64Options | IosOptions


def names(record: type) -> list[str]:
    """Returns the names of a record's options."""
    return [each.name for each in dataclasses.fields(record)]


def checked(record: type, given: Mapping[str, Any]) -> Any:
    """Returns a target's record with some of its options, of the types and within the bounds that its flags have.

    Raises:
        RequestError: a value has another type, or is out of bounds.
    """
    hints = get_type_hints(record, include_extras=True)
    return record(**{name: _checked(name, value, *get_args(hints[name])) for name, value in given.items()})


def _checked(name: str, value: Any, kind: Any, option: Any) -> Any:
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple | list) or not value:
            raise arguments.wrong(name, value, "a list or tuple of values, and not empty")
        return tuple(_checked(name, each, get_args(kind)[0], option) for each in value)
    if kind is bool:
        arguments.flag(name, value)
    elif kind is str:
        arguments.text(name, value)
    elif kind is int:
        return arguments.whole(name, value, option.min, option.max)
    elif kind is float:
        return arguments.number(name, value, option.min, option.max)
    elif value is not None:
        return arguments.path(name, value)
    return value


def flag(name: str) -> str:
    """Returns the flag of an option or a limit, such as `--ssh-config`."""
    return f"--{name.replace('_', '-')}"


def require_read(options: AnyOptions, read: Collection[str], reader: str) -> None:
    """Refuses options that mean nothing to one of a target's ways to measure.

    Args:
        options: of the target.
        read: the options that this way reads.
        reader: what people call it.

    Raises:
        RequestError: another option differs from its default.
    """
    for each in dataclasses.fields(options):
        if each.name not in read and getattr(options, each.name) != each.default:
            raise RequestError(f"{flag(each.name)} means nothing to {reader}. Leave it out.")
