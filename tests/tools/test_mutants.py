"""The tool that tries mutants: its lists match the source, its draw is reproducible, its verdicts are right."""

import ast
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.tools.benchmark import ROOT
from tools.mutants.__main__ import main
from tools.mutants.drawing import OPERATORS, draw
from tools.mutants.mutant import DRAWN, Mutant, MutantError, read_equivalent, read_listed
from tools.mutants.selecting import Suite

TOPICS = {
    *("loss factors", "teacher mode", "splits", "seeds", "calibration", "gates' directions", "tolerances", "hashes"),
    *("escaping", "locks", "once unnoticed"),
}


@pytest.mark.parametrize("mutant", read_listed(), ids=lambda mutant: f"{mutant.topic}-{mutant.file}")
def test_a_listed_fragment_occurs_once_and_its_tests_exist(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text(encoding="utf-8")
    changed = mutant.applied(source)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text


def test_every_topic_has_four_mutants_or_more() -> None:
    mutants = read_listed()
    counts = Counter(mutant.topic for mutant in mutants)
    assert set(counts) == TOPICS and min(counts.values()) >= 4
    assert len({mutant.key for mutant in mutants}) == len(mutants)


def test_equivalent_mutants_are_still_in_the_source_and_have_a_reason() -> None:
    for (file, find, _), why in read_equivalent().items():
        assert find in " ".join((ROOT / file).read_text(encoding="utf-8").split())
        assert len(why) > 30


def test_the_draw_follows_its_seed_and_gives_other_source_that_can_be_read() -> None:
    first, again, other = (draw(ROOT, seed, 40, set(), "tfkd/data") for seed in (1, 1, 2))
    assert first == again != other
    assert len({mutant.key for mutant in first}) == 40 and len({mutant.file for mutant in first}) > 8
    for mutant in first:
        source = (ROOT / mutant.file).read_text(encoding="utf-8")
        assert ast.dump(ast.parse(mutant.applied(source))) != ast.dump(ast.parse(source))
    without = draw(ROOT, 1, 40, {first[0].key}, "tfkd/data")
    assert without[1 : len(OPERATORS)] == first[1 : len(OPERATORS)] and without[0] != first[0]


def test_a_fragment_that_moved_is_found_and_one_that_occurs_twice_is_not() -> None:
    mutant = Mutant("topic", "file.py", "a < b", "a > b")
    assert mutant.applied("# moved\nif a < b: pass") == "# moved\nif a > b: pass"
    for source in ("a < b, a < b", "b > a"):
        with pytest.raises(MutantError, match="times, not once"):
            mutant.applied(source)
    assert Mutant(DRAWN, "file.py", "a<b", "b", offset=5).applied("a<b; a<b") == "a<b; b"


def test_tests_are_chosen_by_what_they_import() -> None:
    suite = Suite(ROOT)
    near, far = suite.near("tfkd/verification/gates.py"), suite.far("tfkd/verification/gates.py")
    assert near[0] == "tests/verification/test_gates.py"
    assert (
        "tests/verification/test_truth.py" in far and "tests/pipeline/test_run.py" in far and not set(near) & set(far)
    )


SOURCE = """
def larger(a, b):
    return a if a > b else b


def unwatched(a):
    return a + 1


def count(limit):
    number = 0
    while number < limit:
        number += 1
    return number
"""
TESTS = """
from pathlib import Path

from small.numbers import count, larger


def test_it_is_a_copy():
    assert (Path(__file__).parents[1] / "small").is_dir()


def test_larger():
    assert larger(1, 2) == 2


def test_count():
    assert count(3) == 3
"""
MUTANTS = [
    ("caught", "a if a > b", "a if a < b"),
    ("survived", "a + 1", "a - 1"),
    ("timeout", "number += 1", "number += 0"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for file, text in {
        "small/__init__.py": "",
        "small/numbers.py": SOURCE,
        "tests/__init__.py": "",
        "tests/test_numbers.py": TESTS,
        "equivalent.toml": "",
    }.items():
        path = tmp_path / "project" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


def attempt(project: Path, words: set[str], *options: str) -> tuple[int, dict]:
    listed = [
        f"[[mutant]]\ntopic = '{word}'\nfile = 'small/numbers.py'\nfind = '{find}'\nreplace = '{replace}'\n"
        "tests = ['tests/test_numbers.py']\n"
        for word, find, replace in MUTANTS
        if word in words
    ]
    (project / "listed.toml").write_text("\n".join(listed))
    out = project / "report.json"
    places = [
        f"--root={project}",
        "--package=small",
        f"--listed={project / 'listed.toml'}",
        f"--equivalent={project / 'equivalent.toml'}",
    ]
    code = main([*places, f"--out={out}", "--limit=300", "--drawn=0", *options])
    return code, json.loads(out.read_text())


@pytest.mark.slow
def test_verdicts_name_the_test_that_noticed_a_mutant(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = attempt(project, {"caught", "survived", "timeout"}, "--limit=20")
    assert code == 1
    assert {each["topic"]: each["verdict"] for each in report["mutants"]} == {word: word for word, *_ in MUTANTS}
    assert report["mutants"][0]["caught_by"] == ["tests/test_numbers.py::test_larger"]
    assert (report["tried"], report["caught"], report["of_these_by_timeout"], report["survived"]) == (3, 2, 1, 1)
    assert (project / "small/numbers.py").read_text() == SOURCE, "the working tree is only read"
    shown = capsys.readouterr().out
    assert "3 mutants tried, 2 caught (1 by timeout), 1 survived" in shown and "→ a - 1" in shown


@pytest.mark.slow
def test_a_test_that_fails_anyway_catches_nothing(project: Path) -> None:
    path = project / "tests/test_numbers.py"
    path.write_text(TESTS.replace("larger(1, 2) == 2", "larger(1, 2) == 3"))
    code, report = attempt(project, {"caught"})
    assert code == 1 and report["unclear"] == 1 and report["caught"] == 0


@pytest.mark.slow
def test_a_resumed_call_tries_what_changed_since(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert attempt(project, {"caught"})[0] == 0
    capsys.readouterr()
    assert attempt(project, {"caught"}, "--resume")[0] == 0
    assert "test_larger" not in capsys.readouterr().out
    (project / "small/numbers.py").write_text(SOURCE + "\n")
    assert attempt(project, {"caught"}, "--resume")[0] == 0
    assert "test_larger" in capsys.readouterr().out


def test_the_report_in_the_evidence_has_no_survivor() -> None:
    report = json.loads((ROOT / "docs/evidence/mutants.json").read_text(encoding="utf-8"))
    assert report["tried"] == report["caught"] == len(report["mutants"])
    assert {each["topic"] for each in report["mutants"]} == {*TOPICS, DRAWN}
    assert sum(each["topic"] == DRAWN for each in report["mutants"]) >= 40
    assert re.search(rf"--seed={report['seed']}\b", report["command"])
