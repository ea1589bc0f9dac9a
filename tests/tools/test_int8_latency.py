"""The benchmark of int8 latency, run as its users run it, on images of 64 px."""

import json
from pathlib import Path

import pytest

from tests.tools.benchmark import run

pytestmark = pytest.mark.slow


def test_every_file_is_timed_and_described(tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    done = run("int8_latency", "--quick", "--out", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert json.loads(out.read_text(encoding="utf-8")) == result
    files = result["files"]
    assert {entry["artifact"] for entry in result["latency_ms"]} == set(files)
    assert all(0 < entry["latency_ms"]["min"] <= entry["latency_ms"]["median"] for entry in result["latency_ms"])
    assert all(ratio["one_thread"] > 0 for ratio in result["ratios"].values())
    for name in ("ours_int8", "ours_fp32", "ours_hard_swish_int8"):
        assert files[name]["partitions"] == 1 and not files[name]["outside"], name
    assert 3 * files["ours_int8"]["bytes"] < files["ours_fp32"]["bytes"]
