"""Measurements of a fit: twice in turn, kept by file, device and settings."""

from pathlib import Path

import pytest

from tests.pipeline.fitting import desk
from tfkd.errors import MachineError, RequestError
from tfkd.files import sha256
from tfkd.pipeline.fitting.measuring import AT_A_TIME, Measurements, target_of
from tfkd.recipe import Bench, Fit


def measurements(folder: Path, runs: int = 5, threads: int = 1) -> Measurements:
    target = target_of(Fit(target="desk", max_ms=3), Bench(runs=runs), {"threads": (threads,)})
    return Measurements(folder / "kept", target, lambda text: None)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two files of different sizes."""
    for name, size in (("a", 2), ("b", 7)):
        (tmp_path / name).write_bytes(b"x" * size)
    return {name: tmp_path / name for name in ("a", "b")}


def test_files_are_measured_twice_in_turn_and_kept(files: dict[str, Path], tmp_path: Path) -> None:
    first = measurements(tmp_path)
    assert first.missing(files) == 4
    found = first.measure(files)
    assert (found["a"].ms, found["b"].ms, found["b"].kb) == (2.0, 7.0, 0.007)
    assert [[sha256(path) for path in files.values()]] * 2 == desk.CALLS
    again = measurements(tmp_path)
    assert again.missing(files) == 0 and again.measure(files) == found and again.device == "desk"
    assert len(desk.CALLS) == 2


def test_an_interrupted_measurement_repeats_nothing(tmp_path: Path) -> None:
    files = {}
    for number in range(AT_A_TIME + 1):
        files[str(number)] = tmp_path / f"{number}.tflite"
        files[str(number)].write_bytes(b"x" * (number + 1))

    class KilledError(Exception):
        pass

    first = measurements(tmp_path)
    first._say = lambda text: desk.FAILURES.append(KilledError()) if "1 file" in text else None
    with pytest.raises(KilledError):
        first.measure(files)
    assert [len(call) for call in desk.CALLS] == [AT_A_TIME]
    measurements(tmp_path).measure(files)
    assert [len(call) for call in desk.CALLS] == [AT_A_TIME, 1, AT_A_TIME, 1]


@pytest.mark.parametrize("changed", ["file", "device", "runs", "threads"])
def test_another_file_device_or_setting_is_measured(changed: str, files: dict[str, Path], tmp_path: Path) -> None:
    measurements(tmp_path).measure(files)
    if changed == "file":
        files["a"].write_bytes(b"xyz")
    desk.SOC[0] = "other" if changed == "device" else "desk"
    runs, threads = 6 if changed == "runs" else 5, 0 if changed == "threads" else 1
    (tmp_path / "c").write_bytes(b"new")
    measurements(tmp_path, runs, threads).measure({**files, "c": tmp_path / "c"})
    measured_again = [digest for call in desk.CALLS[2:] for digest in call]
    wanted = {"file": [files["a"]], "device": list(files.values())}.get(changed, list(files.values()))
    for path in wanted:
        assert measured_again.count(sha256(path)) == 2
    assert measured_again.count(sha256(files["b"])) == (0 if changed == "file" else 2)


@pytest.mark.parametrize(("load", "lines"), [(0.5, 0), (2.5, 2)])
def test_a_busy_machine_is_named(load: float, lines: int, files: dict[str, Path], tmp_path: Path) -> None:
    desk.LOAD[0] = load
    printed: list[str] = []
    measured = measurements(tmp_path)
    measured._say = printed.append
    measured.measure(files)
    assert sum("(2.5 processes per core): latencies may be too long" in line for line in printed) == lines


def test_a_damaged_record_is_measured_again(files: dict[str, Path], tmp_path: Path) -> None:
    measurements(tmp_path).measure(files)
    for path in (tmp_path / "kept").glob("*.json"):
        path.write_text("{}")
    assert measurements(tmp_path).measure(files)["a"].ms == 2.0
    assert len(desk.CALLS) == 4


def test_a_device_that_is_gone_is_reported(files: dict[str, Path], tmp_path: Path) -> None:
    desk.FAILURES.append(MachineError("The device is gone."))
    with pytest.raises(MachineError, match="gone"):
        measurements(tmp_path).measure(files)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"target": "desks", "max_ms": 1}, {}, r"There is no target 'desks'\. Did you mean 'desk'"),
        ({"target": "host"}, {}, "There is no limit"),
        ({"target": "ios", "max_ms": 1}, {}, "The target ios runs no .tflite file"),
        ({"target": "host", "max_ms": 1}, {"python": "python3"}, "--python is for ssh; the target host does not"),
        ({"target": "host", "max_ms": 1}, {"threads": (1, 2)}, "one number of threads"),
        ({"target": "host", "max_ms": 1}, {"thread": 1}, "There is no option 'thread'"),
    ],
)
def test_a_wrong_target_is_named(settings: dict[str, object], options: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        target_of(Fit(**settings), Bench(), options)
