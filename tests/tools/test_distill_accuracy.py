"""The benchmark of the ways to distil, with networks that train in an instant."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.data.photos import fill
from tests.test_pipeline import RECIPE
from tfkd import recipe_files
from tfkd.recipe import Recipe
from tfkd.sweep import Sweep

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "benchmarks" / "distill_accuracy.py"
METHODS = ["soft targets T=4", "DIST", "hint (FitNets)"]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("distill_accuracy", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("distill_accuracy")
    fill(folder / "photos", {"a": 14, "b": 12, "c": 10})
    (folder / "tiny.py").write_text(RECIPE)
    return recipe_files.load(folder / "tiny.py", [f"data.source=folder:{folder / 'photos'}"])


@pytest.fixture(scope="module")
def found(benchmark: ModuleType, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return benchmark.measured(recipe, METHODS, 1, tmp_path_factory.mktemp("runs"))


def test_every_benchmark_asks_for_methods_that_exist(benchmark: ModuleType) -> None:
    for each in benchmark.BENCHMARKS.values():
        assert set(each.methods) <= set(benchmark.METHODS)
        assert 1 <= each.chosen <= len(each.methods)


@pytest.mark.slow
def test_the_best_on_validation_gets_the_other_seeds(benchmark: ModuleType, found: Sweep) -> None:
    seeds = {trial.name: trial.seeds for trial in found.trials}
    assert sorted(map(len, seeds.values())) == [1, 1, benchmark.SEEDS]
    first = {trial.name: trial.validation_accuracies[0] for trial in found.trials}
    (best,) = [name for name, own in seeds.items() if len(own) > 1]
    assert first[best] == max(first.values())


@pytest.mark.slow
def test_all_methods_share_one_control(benchmark: ModuleType, found: Sweep) -> None:
    controls = [trial.control_accuracies for trial in found.trials]
    longest = max(controls, key=len)
    assert len(longest) == benchmark.SEEDS
    assert all(own == longest[: len(own)] for own in controls)
