"""The benchmark of views, run as its users run it, on a few photos."""

import json
from pathlib import Path

import pytest

from tests.data.photos import fill
from tests.tools.benchmark import run

pytestmark = pytest.mark.slow

SHORT = ("--rounds", "1", "--size", "16")


def test_every_stream_is_measured_with_and_without_cached_photos(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    images = f"folder:{fill(tmp_path / 'photos', {'a': 5})}"
    done = run("view_speed", *SHORT, "--images", images, "--count", "3", "--out", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert json.loads(out.read_text(encoding="utf-8")) == result
    assert result["count"] == 3
    for memory in ("decoded", "kept"):
        streams = result["cpu_ms_per_view"][memory]
        assert streams.keys() == {"base", "operations=2", "mixup half", "cutmix half"}
        assert all(0 < spread["min"] <= spread["median"] <= spread["max"] for spread in streams.values())


def test_a_wrong_folder_is_one_line(tmp_path: Path) -> None:
    done = run("view_speed", *SHORT, "--images", f"folder:{tmp_path / 'none'}")
    assert done.returncode == 2
    assert "There is no" in done.stderr.splitlines()[-1]
