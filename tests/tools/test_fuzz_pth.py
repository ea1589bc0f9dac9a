"""The fuzzer of PyTorch files: its good files are good, and it finds the faults that exist."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfkd.models.torch_weights import read_state_dict
from tools.benchmarks import fuzz_pth


@pytest.mark.parametrize("layout", fuzz_pth.LAYOUTS)
def test_the_file_that_is_changed_is_good(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "good.pth"
    path.write_bytes(fuzz_pth.written(fuzz_pth.good(layout), layout))
    tensors = read_state_dict(path)
    for name, expected in fuzz_pth.TENSORS.items():
        np.testing.assert_array_equal(tensors[name], expected)


def test_a_few_files_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fuzz.json"
    with pytest.raises(SystemExit) as ended:
        fuzz_pth.main(["--count", "60", "--out", str(out)])
    result = json.loads(out.read_text(encoding="utf-8"))
    assert ended.value.code == 0 and result["wrong"] == []
    assert result["outcomes"]["refused"] > 30 and result["outcomes"]["tensors"] > 3
    assert sum(result["refused_because"].values()) == result["outcomes"]["refused"]
    assert json.loads(capsys.readouterr().out) == result


def test_a_reader_that_hangs_crashes_or_prints_too_much_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def reads(path: Path) -> dict[str, np.ndarray]:
        match next(rounds):
            case 0:
                while True:
                    pass
            case 1:
                raise KeyError("x")
            case 2:
                raise SystemExit
            case 3:
                raise fuzz_pth.RequestError("two\nlines")
            case _:
                return {}

    rounds = iter(range(4))
    monkeypatch.setattr(fuzz_pth, "read_state_dict", reads)
    monkeypatch.setattr(fuzz_pth, "SECONDS", 0.1)
    done = list(fuzz_pth.rounds(1, range(1), str(tmp_path)))
    next(rounds)  # the hanging one was read in the process that was ended
    done += fuzz_pth.rounds(1, range(1, 4), str(tmp_path))
    assert [(each["number"], each["outcome"]) for each in done] == [
        (0, "hung"), (1, "crashed"), (2, "crashed"), (3, "not one line"),
    ]  # fmt: skip
