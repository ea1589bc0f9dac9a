"""Rates of tiny networks on this machine, and the plan that follows from them."""

from pathlib import Path

import pytest

from tests.data.photos import fill_tinted
from tests.pipeline.test_run import CLASSES, RECIPE
from tfkd import machine
from tfkd.errors import RequestError
from tfkd.pipeline.scale import planning, probe, reference
from tfkd.pipeline.scale.cluster import MachineGroup
from tfkd.pipeline.scale.model import planned
from tfkd.pipeline.scale.planning import HERE, ScaleRequest, ScaleResult, plan_at_scale
from tfkd.progress import Silent
from tfkd.recipe import Recipe
from tfkd.recipe.files import load

pytestmark = pytest.mark.usefixtures("started_tensorflow")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 40))
    settings = "Distill(views=2, training=Training(epochs=4, batch_size=16, learning_rate=1e-2))"
    assert settings in RECIPE
    text = RECIPE.replace("folder:photos", f"folder:{home}/photos").replace(settings, '"auto"')
    (home / "recipe.py").write_text(text)
    return home


@pytest.fixture(scope="module")
def recipe(home: Path) -> Recipe:
    return load(home / "recipe.py")


@pytest.fixture(scope="module")
def result(home: Path, recipe: Recipe, started_tensorflow: None) -> ScaleResult:
    """A plan on three machines with rates of one round."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe.measure, "__defaults__", (1,))
        request = ScaleRequest(machines=3, examples=60_000, per_hour=1.0)
        return plan_at_scale(recipe, request, Silent(), home / "runs" / "deeper")


def test_every_part_of_the_machine_is_measured(home: Path, result: ScaleResult) -> None:
    rates = result.rates
    assert result.source == HERE and rates.cores == machine.cores() and rates.gpu is None
    assert rates.networks == ("tests.tiny:build_teacher teaching tests.tiny:build_student on 32 x 32 x 3, 3 classes")
    for name in ("checking", "viewing", "training", "hashing", "reading", "writing"):
        rate = getattr(rates, name)
        assert 0 < rate.min <= rate.median <= rate.max
    files = list((home / "photos").rglob("*.*"))
    sizes = [path.stat().st_size for path in files]
    assert min(sizes) <= rates.example_bytes <= max(sizes)
    assert rates.view_bytes == 2 * 3 and rates.views_per_shard == 16_384  # float16 logits of three classes
    assert not list(home.glob("**/block")), "nothing stays of the measurement of the disk"


def test_the_plan_is_that_of_the_rates(result: ScaleResult) -> None:
    assert result.workload.examples == 60_000 and result.workload.labelled == 60_000
    assert result.plan == planned(result.workload, result.rates, result.cluster)
    assert result.cluster == MachineGroup(3, 0, machine.cores(), per_hour=1.0) and result.assumed == (
        "--link",
        "--spread",
    )
    assert any("so more than 2 machines do not help there" in note for note in result.notes)


def test_rates_of_a_file_are_used_and_a_gpu_is_needed_where_they_are_of_one(
    home: Path, recipe: Recipe, result: ScaleResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    monkeypatch.setattr(probe, "measure", None)  # must not be called
    path = home / "rates.json"
    path.write_text(json.dumps(result.as_json()))
    again = plan_at_scale(recipe, ScaleRequest(rates=path), Silent(), home / "runs")
    assert again.rates == result.rates and again.source == str(path)
    assert again.workload.examples < 120 and again.cluster.machines == 1  # those of the recipe's training split
    path.write_text(json.dumps({"rates": {**result.as_json()["rates"], "gpu": "fast"}}))
    assert plan_at_scale(recipe, ScaleRequest(rates=path), Silent(), home / "runs").cluster.gpus == 1
    with pytest.raises(RequestError, match="measured on the GPU fast, so the machines need one: --gpus 1"):
        plan_at_scale(recipe, ScaleRequest(gpus=0, rates=path), Silent(), home / "runs")
    with pytest.raises(RequestError, match="needed are those of efficientnet_b0 teaching mobilenet_v3_small on 224"):
        plan_at_scale(None, ScaleRequest(rates=path), Silent(), home / "runs")


def test_a_gpu_that_nobody_measured_is_said_to_be_as_fast_as_the_cores(
    home: Path, recipe: Recipe, result: ScaleResult
) -> None:
    import json

    path = home / "cpu.json"
    path.write_text(json.dumps(result.as_json()))
    found = plan_at_scale(recipe, ScaleRequest(gpus=8, rates=path), Silent(), home / "runs")
    assert any(note.startswith("No rate of a GPU is known: each one is counted as fast as") for note in found.notes)
    assert not any("No rate of a GPU" in note for note in result.notes)


def test_the_reference_work_is_measured_without_a_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny = {"model": "tests.tiny:build_teacher", "weights": "none", "image_size": 40}
    usual = reference.reference_recipe

    def small(folder: Path) -> Recipe:
        changed = usual(folder).model_dump(mode="json") | {"teachers": [tiny]}
        changed["student"] = {"model": "tests.tiny:build_student"}
        return Recipe.model_validate(changed)

    monkeypatch.setattr(reference, "reference_recipe", small)
    monkeypatch.setattr(probe.measure, "__defaults__", (1,))
    found = plan_at_scale(None, ScaleRequest(), Silent(), tmp_path)
    assert found.work == "reference" and found.workload.examples == reference.EXAMPLES
    assert found.rates.view_bytes == 504 and found.rates.classes == 1000  # the 125 largest logits of 1,000


def test_the_disk_below_a_missing_folder_is_that_of_its_parent(tmp_path: Path) -> None:
    assert planning._existing(tmp_path / "runs" / "deeper") == tmp_path
    assert planning._existing(tmp_path) == tmp_path
