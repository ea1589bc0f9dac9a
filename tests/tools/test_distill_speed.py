"""The speed benchmark, run as by its users, with networks that train in a second."""

import json
import statistics
from typing import Any

import pytest

from tests.tools.benchmark import run

pytestmark = pytest.mark.slow

STUDENT = ("--student", "tests.tiny:build_student")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("speed") / "tiny.json"
    teacher = ("--teacher", "tests.tiny:build_teacher")
    done = run("distill_speed", *STUDENT, *teacher, "--rounds", "2", "--steps", "2", "--out", str(out))
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    assert json.loads(out.read_text(encoding="utf-8")) == printed
    return printed


def test_every_contestant_takes_every_turn(result: dict[str, Any]) -> None:
    rates = result["images_per_second"]
    assert {"peer_default", "peer_best", "online", "stored", "stored_bfloat16", "student", "store"} < set(rates)
    assert all(len(rate["rounds"]) == 2 and rate["min"] > 0 for rate in rates.values())


def test_ratios_are_taken_within_rounds(result: dict[str, Any]) -> None:
    rates = result["images_per_second"]
    for name, ratio in result["ratios"].items():
        upper, lower = name.split(" / ")
        expected = [u / v for u, v in zip(rates[upper]["rounds"], rates[lower]["rounds"], strict=True)]
        assert ratio["rounds"] == pytest.approx(expected, rel=1e-2)
        assert ratio["median"] == pytest.approx(statistics.median(expected), rel=1e-2)


def test_a_wrong_teacher_is_one_line() -> None:
    done = run("distill_speed", *STUDENT, "--teacher", "resnet500", "--quick")
    assert done.returncode == 2
    assert "Did you mean 'resnet50'?" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_contestants_can_be_named() -> None:
    pair = ("stored_bfloat16", "stored")
    done = run("distill_speed", *STUDENT, "--teacher", "tests.tiny:build_teacher", "--quick", "--only", *pair)
    found = json.loads(done.stdout)
    assert set(found["images_per_second"]) == set(pair) and list(found["ratios"]) == [" / ".join(pair)]
    done = run("distill_speed", *STUDENT, "--teacher", "tests.tiny:build_teacher", "--quick", "--only", "peer")
    assert done.returncode == 2 and "no contestant 'peer'; there are peer_default," in done.stderr.splitlines()[-1]
