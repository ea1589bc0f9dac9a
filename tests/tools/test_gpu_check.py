"""The check of a GPU, run as by its users in its smoke form, on the cores of a machine that may have none."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tools.benchmark import run
from tfkd.pipeline.scale.rates import read_rates

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("check") / "gpu_check.json"
    done = run("gpu_check", "--smoke", "--out", str(path))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Proceeding with `jit_compile=False`" not in done.stderr
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(done.stdout)
    return path


@pytest.fixture(scope="module")
def result(out: Path) -> dict[str, Any]:
    return json.loads(out.read_text(encoding="utf-8"))


def test_every_contestant_takes_its_turn_with_and_without_determinism(result: dict[str, Any]) -> None:
    speeds = result["images_per_second"]
    assert result["failed"] == {}
    assert {
        *(
            f"stored {precision}{xla}"
            for precision in ("float32", "mixed_float16", "mixed_bfloat16")
            for xla in ("", " xla")
        ),
        *(f"{kind} float32{xla}" for kind in ("online", "peer") for xla in ("", " xla")),
        *(f"stored {precision} deterministic" for precision in ("float32", "mixed_float16", "mixed_bfloat16")),
        *("online mixed_bfloat16 xla", "peer mixed_bfloat16 xla", "online float32 deterministic"),
        *("store", "store deterministic", "teacher float32", "teacher bfloat16"),
    } == set(speeds)
    assert all(len(speed["rounds"]) == 1 and speed["min"] > 0 for speed in speeds.values())
    assert all(memory["peak"] > 0 for memory in result["memory_bytes"].values())


def test_ratios_are_those_of_the_speeds(result: dict[str, Any]) -> None:
    speeds = result["images_per_second"]
    assert "stored float32 xla / peer float32 xla" in result["ratios"] and len(result["ratios"]) == 11
    for name, ratio in result["ratios"].items():
        upper, lower = name.split(" / ")
        assert ratio["median"] == pytest.approx(speeds[upper]["median"] / speeds[lower]["median"], rel=1e-2)


def test_its_json_has_rates_that_a_plan_reads(out: Path, result: dict[str, Any]) -> None:
    rates = read_rates(out)
    assert rates.gpu == result["device"]["gpu"]
    assert rates.networks == ("tiny_networks:teacher teaching tiny_networks:student on 224 x 224 x 3, 1,000 classes")


def test_a_wrong_request_is_one_line(tmp_path: Path) -> None:
    done = run("gpu_check", "--batch", "0")
    assert done.returncode == 2 and "'0' must be a whole number of at least 1" in done.stderr.splitlines()[-1]
    done = run("gpu_check", "--teacher", "resnet500", cwd=tmp_path)
    assert done.returncode == 2 and "Did you mean 'resnet50'?" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    done = run("gpu_check", "--smoke", "--recipe", "none.py", cwd=tmp_path)
    assert done.returncode == 2 and "No recipe at none.py" in done.stderr.splitlines()[-1]
    assert "round 0" not in done.stderr


def test_a_contestant_that_fails_is_listed_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    (tmp_path / "r.py").write_text(RECIPE)
    networks = ("--teacher", "tiny_networks:teacher", "--student", "odd:build")
    short = ("--image-size", "32", "--batch", "8", "--steps", "2", "--rounds", "3", "--minutes", "0")
    done = run("gpu_check", *networks, *short, "--recipe", "r.py", "--out", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    halves = {"stored mixed_float16", "stored mixed_float16 xla", "stored mixed_float16 deterministic"}
    assert set(found["failed"]) == halves and not halves & set(found["images_per_second"])
    assert all("no kernel for half" in message for message in found["failed"].values())
    # The time was up after the first round; the rates are those of the recipe.
    assert {len(speed["rounds"]) for speed in found["images_per_second"].values()} == {1}
    assert "the time is up after 1 of 3 rounds" in done.stderr
    assert read_rates(tmp_path / "out.json").classes == 10


ODD = """
from tiny_networks import student as usual
def build(k, **settings):
    if k.config.dtype_policy().name == "mixed_float16":
        raise ValueError("no kernel for half")
    return usual(k, **settings)
"""
RECIPE = """
from tfkd.recipe import *
recipe = Recipe(
    name="r",
    data=Data(source="embedded:fashion_mnist_mini", image_size=32, fraction=0.05),
    teachers=[Teacher(model="tiny_networks:teacher", weights="none")],
    student=Student(model="tiny_networks:student"),
)
"""
