"""The course of a fit, from the measured files to its verdict; networks, trainings and the target are stand-ins."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.pipeline.fitting import desk
from tfkd.errors import MachineError, RequestError
from tfkd.pipeline import fit as fitting
from tfkd.pipeline.fitting import findings
from tfkd.pipeline.fitting.candidates import candidates_of
from tfkd.pipeline.fitting.cost import Speeds
from tfkd.pipeline.fitting.files import TEACHER_ITSELF, Untrained
from tfkd.pipeline.fitting.finals import Final
from tfkd.pipeline.folders import RunFolder
from tfkd.progress import Silent
from tfkd.recipe import Data, Fit, Recipe, Student, Teacher
from tfkd.report.fits import FitResult

WIDTHS = [0.2, 0.4, 0.6]  # files of 200, 400 and 600 bytes; the teacher's has 2,000
RECIPE = Recipe(
    name="r",
    data=Data(source="folder:x", image_size=32),
    teachers=[Teacher(model="a:b")],
    student=Student(weights="none"),
    fit=Fit(families=["mobilenet_v2"], widths=WIDTHS, sizes=[32], target="desk", finalists=2),
)


class Bench:
    """A fit whose final accuracies are given by candidate: on validation, and relative to the teacher on test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.finals: dict[str, tuple[float, float]] = {}
        self.grown: dict[str, int] = {}  # bytes that a trained file has more
        self.known: set[str] = set()
        self.ran: list[str] = []
        self.gates_pass = True
        stage = SimpleNamespace(result=lambda: {"done": True})
        dataset = SimpleNamespace(validation=[0] * 50, classes=("a", "b"))
        self.context: Any = SimpleNamespace(
            recipe=RECIPE,
            data=dataset,
            folder=RunFolder(folder / "run"),
            stages={"teacher": stage},
            progress=Silent(),
            folder_of=lambda kind: folder / "run/teacher",
            start_tensorflow=lambda: None,
            result=lambda kind: SimpleNamespace(validation_accuracy=0.9),
        )
        for name, replacement in {
            "_open": self._open,
            "resolved": lambda context, candidates: candidates,
            "untrained_files": self._files,
            "run_stages": self._run_stages,
            "final_run": lambda context, settings, file, measurements: self._final(file.name, measurements),
            "teacher_itself": lambda context, settings, measurements: self._final(TEACHER_ITSELF, measurements),
            "measured_accuracy": lambda context: 0.9,
            "prepared": lambda context, number: SimpleNamespace(file=folder / "run/teacher/teacher.keras"),
            "known_final": self._known,
            "context_of": lambda context, settings, candidate: SimpleNamespace(
                recipe=candidate.recipe(context.recipe), folder=context.folder
            ),
            "Halving": self._halving,
            "check_installed": lambda export: None,
        }.items():
            monkeypatch.setattr(fitting, name, replacement)
        monkeypatch.setattr(fitting.cost, "timed", lambda context, files: Speeds(0.0, 1.0))
        monkeypatch.setattr(fitting.cost, "images_in_transfer_set", lambda data: 100)
        monkeypatch.setattr(findings, "ensemble_accuracy", lambda context: 0.9)

    def fit(self, **settings: Any) -> FitResult:
        recipe = RECIPE.model_copy(update={"fit": Fit(**(RECIPE.fit.model_dump() if RECIPE.fit else {}) | settings)})
        self.context.recipe = recipe
        result = fitting.fit(recipe, Silent(), self.folder / "runs", self.folder / "bundles")
        assert json.loads((result.folder / "result.json").read_text())["chosen"] == result.chosen
        assert result.page.is_file()
        return result

    def _open(self, *arguments: Any) -> Any:
        return self.context

    def _files(self, context: Any, candidates: Any) -> list[Untrained]:
        named = [*((each.name, each, round(1000 * each.student.width)) for each in candidates)]
        found = []
        for name, candidate, size in [*named, (TEACHER_ITSELF, None, 2000)]:
            path = self.folder / f"{name}.tflite"
            path.write_bytes(b"x" * size)
            found.append(Untrained(name, path, candidate, size))
        return found

    def _final(self, name: str, measurements: Any) -> Final:
        self.ran.append(name)
        path = self.folder / f"{name}.trained"
        path.write_bytes(b"y" * ((self.folder / f"{name}.tflite").stat().st_size + self.grown.get(name, 0)))
        validation, relative = self.finals[name]
        figures = measurements.measure({name: path})[name]
        return Final(name, path, figures, 9, validation, 0.9 * relative, relative, 0.5)

    def _known(self, context: Any, settings: Any, file: Untrained, measurements: Any) -> Final | None:
        return self._final(file.name, measurements) if file.name in self.known else None

    def _run_stages(self, context: Any, last: str, destination: Path) -> Any:
        self.ran.append(last)
        return SimpleNamespace(passed=self.gates_pass, bundle=destination if self.gates_pass else Path("unpublished"))

    def _halving(self, context: Any, settings: Any, speeds: Any, clock: Any) -> Any:
        def ranked(files: list[Untrained]) -> list[Untrained]:
            return sorted(files, key=lambda file: -file.multiply_adds)

        return SimpleNamespace(ranked=ranked, standings={}, cut=["cut"])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def name(width: float) -> str:
    return f"mobilenet_v2 ×{width:g}, 32 px, relu6"


def test_nothing_is_trained_where_nothing_meets_the_budget(bench: Bench) -> None:
    result = bench.fit(max_ms=100)
    assert not result.passed and bench.ran == []
    assert f"The nearest is {name(0.2)}: 200 ms, 100 % over the limit of 100 ms." in result.verdict[0]


def test_a_quantized_teacher_that_suffices_is_not_distilled(bench: Bench) -> None:
    bench.finals = {TEACHER_ITSELF: (0.9, 0.97)}
    result = bench.fit(max_ms=3000)
    assert result.chosen == TEACHER_ITSELF and bench.ran == ["teacher", TEACHER_ITSELF]
    assert "Do not distil" in result.verdict[0] and "--labels" in result.verdict[0]
    assert (bench.folder / "run/fit/labels.txt").read_text() == "a\nb\n"


@pytest.mark.parametrize(("validation", "relative"), [(0.99, 0.5), (0.84, 0.99)])
def test_a_teacher_that_loses_its_accuracy_is_distilled_and_never_ships(bench, validation, relative):
    bench.finals = {TEACHER_ITSELF: (validation, relative), name(0.6): (0.8, 0.96), name(0.4): (0.7, 0.9)}
    result = bench.fit(max_ms=3000)
    assert result.chosen == name(0.6) and result.bundle == bench.folder / "bundles/r"
    assert bench.ran[-1] == "report" and result.cut == ("cut",)


def test_the_best_on_validation_ships_and_is_judged_on_the_test_split(bench: Bench) -> None:
    bench.finals = {name(0.6): (0.7, 0.99), name(0.4): (0.8, 0.96)}
    result = bench.fit(max_ms=700)
    assert result.chosen == name(0.4) and [row.final for row in result.rows] == [False, True, True, False]
    assert json.loads(result.recipe.read_text())["student"]["width"] == 0.4
    bench.finals[name(0.4)] = (0.8, 0.94)
    result = bench.fit(max_ms=700)
    assert not result.passed and f"the best, {name(0.4)} (400 ms), reaches 94.0 %" in result.verdict[0]


def test_a_trained_file_over_the_budget_is_replaced_by_the_next(bench: Bench) -> None:
    bench.finals = {name(width): (width, 0.96) for width in WIDTHS}
    bench.grown = {name(0.6): 200}
    result = bench.fit(max_ms=700)
    assert [each for each in bench.ran if each.startswith("mobilenet")] == [name(0.6), name(0.4), name(0.2)]
    assert result.chosen == name(0.4)
    bench.grown = dict.fromkeys(map(name, WIDTHS), 900)
    result = bench.fit(max_ms=700)
    assert not result.passed and "the trained file is over the budget that the untrained one met" in result.verdict[0]


def test_what_an_earlier_fit_trained_over_the_budget_is_named(bench: Bench) -> None:
    bench.finals = {name(0.2): (0.5, 0.9), name(0.6): (0.8, 0.97)}
    bench.known = {name(0.6)}
    result = bench.fit(max_ms=300)
    assert not result.passed and f"600 ms does, as an earlier fit measured: {name(0.6)}." in result.verdict


def test_a_failed_gate_of_the_final_run_publishes_nothing(bench: Bench) -> None:
    bench.finals, bench.gates_pass = {name(0.2): (0.5, 0.99)}, False
    result = bench.fit(max_ms=300)
    assert not result.passed and result.bundle is None and "a gate failed" in result.verdict[0]


def test_too_little_time_for_one_final_training_is_refused_and_keeps_the_measurements(bench: Bench) -> None:
    with pytest.raises(RequestError, match=r"fit\.hours = 0\.01: the final trainings of the cheapest candidate alone"):
        bench.fit(max_ms=700, hours=0.01)
    bench.finals = {name(0.6): (0.7, 0.99), name(0.4): (0.8, 0.96)}
    calls = len(desk.CALLS)
    assert bench.fit(max_ms=700, hours=10).passed and len(desk.CALLS) == calls + 4  # the two trained files, twice


def test_a_device_that_is_gone_ends_the_fit(bench: Bench) -> None:
    desk.FAILURES.append(MachineError("The device is gone."))
    with pytest.raises(MachineError, match="gone"):
        bench.fit(max_ms=700)


def test_a_plan_measures_and_trains_nothing(bench: Bench) -> None:
    recipe = RECIPE.with_("fit.max_ms=700")
    (line,) = fitting.plan(recipe, Silent(), bench.folder / "runs")
    assert line.startswith("4 files: 8 measurements, at most") and desk.CALLS == [] and bench.ran == []


def test_candidates_are_those_of_the_recipe() -> None:
    assert RECIPE.fit is not None
    assert [each.name for each in candidates_of(RECIPE, RECIPE.fit)] == [name(width) for width in WIDTHS]
