"""The benchmark of claims: its table and predictions, and the smoke form, run as by its users."""

import importlib
import io
import itertools
import json
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.photos import fill_tinted, zipped
from tests.tools.benchmark import ROOT, run
from tfkd.errors import RequestError
from tfkd.progress import Silent
from tools.benchmarks.photo_corruptions import CORRUPTIONS, corrupted
from tools.benchmarks.photo_kinds import KINDS, write_two_kinds
from tools.figures.claims import difference, table
from tools.figures.marks import FigureError

TRIED = ["twenty_percent", "domains", "mixed_precision", "corruptions"]


@pytest.fixture(scope="module")
def modules() -> ModuleType:
    """The module of the predictions, which imports its neighbours as a script does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools/benchmarks")
        return importlib.import_module("claim_costs")


@pytest.fixture(scope="module")
def lab(modules: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("lab")
    photos = f"folder:{fill_tinted(folder / 'photos', {'a': 20, 'b': 20, 'c': 20})}"
    sources = {"claims-clothing": photos, "claims-cifar10": photos, "claims-two-kinds": photos}
    return modules.Laboratory(sources, folder / "runs", 3, False, Silent())


def test_every_arm_is_a_recipe_and_shares_the_run_of_its_base(lab: Any) -> None:
    table = sys.modules["claim_table"]
    assert len({claim.name for claim in table.CLAIMS}) == len(table.CLAIMS)
    for claim in table.CLAIMS:
        assert set(claim.against) <= set(claim.arms), claim.name
        for arm in claim.arms.values():
            for each in (lab, replace(lab, smoke=True)):
                recipe = each.recipe(arm)
                assert (recipe.name, recipe.distill.repeats) == (table.BASES[arm.base].name, 3)
                assert recipe.data.image_size <= 64 and recipe.student.is_random, claim.name


def test_work_that_claims_share_is_predicted_once(modules: ModuleType, lab: Any) -> None:
    claims = {claim.name: claim for claim in sys.modules["claim_table"].CLAIMS}
    costs = modules.Costs(lab)
    alone = modules.Costs(lab).seconds(claims["hints"])
    first, again = costs.seconds(claims["features"]), costs.seconds(claims["features"])
    assert again == 0 < costs.seconds(claims["hints"]) < alone and first > 0
    assert costs.seconds(claims["convergence"]) > 0
    seeds = modules.Costs(replace(lab, seeds=6)).seconds(claims["temperature"])
    assert 1.8 < seeds / modules.Costs(lab).seconds(claims["temperature"]) <= 2.0


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_photos_alike_each_time(name: str) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    (found,) = corrupted([photos], CORRUPTIONS[name], 1)
    (again,) = corrupted([photos], CORRUPTIONS[name], 1)
    assert found.shape == photos.shape and found.dtype == np.float32
    assert 3 < np.abs(found - photos).mean() < 120 and 0 <= found.min() <= found.max() <= 255
    assert np.array_equal(found, again)


def test_every_second_photo_of_a_class_becomes_a_negative(tmp_path: Path) -> None:
    photos = fill_tinted(tmp_path / "photos", {"train/a": 4, "train/b": 3, "test/a": 2})
    write_two_kinds(photos, tmp_path / "new" / "first.zip")
    write_two_kinds(zipped(photos, tmp_path / "photos.zip"), tmp_path / "second.zip")
    assert (tmp_path / "new" / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "second.zip") as archive:
        names = archive.namelist()
        kept, changed = archive.read("train/a/photo-00.png"), archive.read("train/a/negative-01.jpg")
    folders = [(name.rpartition("/")[0], name.rpartition("/")[2].partition("-")[0]) for name in names]
    assert Counter(folders) == {
        **dict.fromkeys(itertools.product(("train/a",), KINDS), 2),
        **{("train/b", "photo"): 2, ("train/b", "negative"): 1},
        **dict.fromkeys(itertools.product(("test/a",), KINDS), 1),
    }
    assert kept == (photos / "train/a/00.png").read_bytes()
    pictures = (io.BytesIO(changed), photos / "train/a/01.png")
    negative, original = (np.asarray(Image.open(each).convert("L"), np.float32) for each in pictures)
    assert np.corrcoef(negative.ravel(), original.ravel())[0, 1] < -0.9


def _record(measure: str, **rows: dict[str, Any]) -> dict[str, Any]:
    return {"smoke": False, "measure": measure, "seconds": 90.0, "rows": rows}


def test_the_table_of_the_claims_has_a_row_per_arm() -> None:
    one, other = {"steps": [0.5, 0.7], "seconds": [10.0, 14.0]}, {"steps": [1.0, 1.0], "seconds": [20.0, 20.0]}
    never = {"steps": [None, 0.5], "seconds": [None, 5.0]}
    claims = {
        "temperature": _record(
            "accuracy",
            low={"accuracies": [0.5, 0.5, 0.5], "gains": None},
            high={"accuracies": [0.59, 0.6, 0.61], "gains": [0.09, 0.1, 0.11]},
        ),
        "convergence": _record("convergence", one={"student": one, "control": other}, two={"student": never}),
        "corruptions": _record("corruptions", int8={"accuracies": [0.8, 0.8], "corrupted_accuracies": [0.6, 0.7]}),
        "memory": _record("memory", fp32={"bytes": 2_000_000, "peak_memory_mb": None, "accuracy": 0.5}),
    }
    claims["convergence"]["rows"]["two"]["control"] = other
    lines = table(claims).splitlines()[2:]
    assert lines == [
        "| `temperature` | low | 50.0 % ± 0.0 | | 2 |",
        "| | high | 60.0 % ± 1.0 | +10.0 ± 0.6 | |",
        "| `convergence` | one | 60 % of the steps | −40.0 % steps | 2 |",
        "| | two | not reached with 1 of 2 seeds | | |",
        "| `corruptions` | int8 | 80.0 % ± 0.0, corrupted 65.0 % ± 7.1 | −15.0 ± 5.0 | 2 |",
        "| `memory` | fp32 | – at the peak, a file of 2.00 MB, 50.0 % | | 2 |",
    ]
    with pytest.raises(FigureError, match="temperature was tried with --smoke"):
        table({"temperature": claims["temperature"] | {"smoke": True}})


@pytest.mark.parametrize(
    ("gains", "shown"),
    [
        ([0.01, 0.02, 0.03], "+2.0 ± 0.6, not shown"),
        ([0.018, 0.02, 0.022], "+2.0 ± 0.1"),
        ([-0.02, -0.02, -0.02], "−2.0 ± 0.0"),
        ([0.05], "+5.0, one seed"),
    ],
)
def test_a_difference_is_shown_where_the_interval_over_seeds_leaves_out_zero(gains: list[float], shown: str) -> None:
    assert difference(gains) == shown


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which three claims have been tried."""
    home = tmp_path_factory.mktemp("claims")
    fill_tinted(home / "photos", {"a": 40, "b": 36, "c": 44})
    done = _tried(home, *TRIED)
    for name in TRIED:
        assert f"{name}: about " in done and f", predicted {done.split(f'{name}: about ')[1].split(chr(10))[0]}" in done
    return home


def _tried(home: Path, *claims: str) -> str:
    sources = ("--images", "photos", "--cifar", "folder:photos", "--out", "out.json")
    done = run("claims", *claims, *sources, "--seeds", "2", "--smoke", cwd=home)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _claims(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "out.json").read_text(encoding="utf-8"))["claims"]
    return found


@pytest.mark.slow
def test_each_claim_adds_its_record_to_the_file(home: Path) -> None:
    claims = _claims(home)
    assert list(claims) == TRIED and all(claim["seconds"] > 0 for claim in claims.values())
    whole, fifth = claims["twenty_percent"]["rows"].values()
    assert whole["gains"] is None
    assert fifth["gains"] == [own - other for own, other in zip(fifth["accuracies"], whole["accuracies"], strict=True)]
    assert len(fifth["gains"]) == len(fifth["control_accuracies"]) == 2
    rows = claims["mixed_precision"]["rows"]
    assert rows["bfloat16"]["control"] == rows["float32"]["control"] and rows["bfloat16"]["control_accuracies"] == []
    files = claims["corruptions"]["rows"]
    assert all(set(row["by_corruption"]) == set(CORRUPTIONS) for row in files.values())
    assert {"control, fp32", "student, int8", "student, half pruned, int8"} <= set(files)


@pytest.mark.slow
def test_a_claim_is_not_tried_twice_and_its_trainings_are_kept(home: Path) -> None:
    before = _claims(home)
    assert "twenty_percent: in out.json already" in _tried(home, "twenty_percent")
    (home / "out.json").unlink()
    again = _tried(home, "twenty_percent")
    assert "4 trainings, 4 of them already finished" in again
    assert _claims(home) == {"twenty_percent": _claims(home)["twenty_percent"]}
    assert _claims(home)["twenty_percent"]["rows"] == before["twenty_percent"]["rows"]


@pytest.mark.slow
def test_a_wrong_request_is_one_line(tmp_path: Path) -> None:
    done = run("claims", "temperatur", "--images", "none", "--cifar", "folder:none", "--out", "new.json", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "There is no claim 'temperatur'. Did you mean 'temperature'?" in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def claims_module(modules: ModuleType) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools/benchmarks")
        return importlib.import_module("claims")


@pytest.mark.slow
@pytest.mark.parametrize("content", ["path,label\n", "[]", "{}", '{"claims": []}', '{"claims": {"temperature": 3}}'])
def test_a_file_that_holds_no_claims_is_not_replaced(claims_module: Any, tmp_path: Path, content: str) -> None:
    out = tmp_path / "out.json"
    assert claims_module.earlier(out) == {}
    out.write_text(content)
    with pytest.raises(RequestError, match=r"out\.json is no file of claims"):
        claims_module.earlier(out)
    with pytest.raises(RequestError, match=r"The folder of .*none/out\.json does not exist"):
        claims_module.earlier(tmp_path / "none" / "out.json")


@pytest.mark.slow
def test_an_arm_is_compared_with_the_best_of_several_or_with_its_control(claims_module: Any) -> None:
    measures = sys.modules["claim_measures"]
    rows = {
        "one": {"accuracies": [0.5, 0.6], "validation_accuracies": [0.8, 0.7], "control_accuracies": [0.25, 0.5]},
        "two": {"accuracies": [0.75, 0.75], "validation_accuracies": [0.7, 0.7], "control_accuracies": [0.0, 0.0]},
    }
    assert measures.best(rows, ("one", "two")) == "one"
    assert measures.gains(rows["two"], rows["one"]) == pytest.approx([0.25, 0.15])
    assert measures.gains(rows["one"], None) == pytest.approx([0.25, 0.1])
