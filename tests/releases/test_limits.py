"""Limits on the change, and their verdicts."""

import pytest

from tfkd.errors import RequestError
from tfkd.releases.limits import Basis, DiffLimits, judge, limits_of
from tfkd.releases.records import ContractChange, CostChange, FileChange, FileEntry
from tfkd.verification.records import ClassFlips, Gate, NegativeFlips, PairedTest


def entry(digest: str, size: int = 1000, accuracy: float | None = 0.9) -> FileEntry:
    return FileEntry(path="android/a_int8.tflite", sha256=digest * 64, bytes=size, accuracy=accuracy)


def cost(
    ratio: float, interval: tuple[float, float] | None, quantity: str = "latency", emulated: bool = False
) -> object:
    return CostChange.model_validate(
        {
            "target": "host",
            "device": "a phone",
            "delegate": "xnnpack",
            "threads": 1,
            "emulated": emulated,
            "quantity": quantity,
            "old": 1.0,
            "new": ratio,
            "ratio": ratio,
            "interval": interval,
        }
    )


def file(lost: int = 0, right: int = 100, **fields: object) -> FileChange:
    flips = NegativeFlips(
        right=right,
        test=PairedTest(gained=0, lost=lost, p_value=0.5, worst_p_value=0.1),
        per_class=[ClassFlips(label="cat", flips=lost, right=right)] if lost else [],
    )
    values = {
        "format": "tflite",
        "precision": "int8",
        "old": entry("a"),
        "new": entry("b"),
        "images": right,
        "negative_flips": flips,
        "positive_flips": None,
    }
    return FileChange.model_validate(values | fields)


def basis(undecided: str = "", test_examples: int | None = 100, comparable: str = "") -> Basis:
    return Basis(16, undecided, test_examples, comparable)


def only(limits: DiffLimits, change: FileChange, on: Basis | None = None) -> Gate:
    *_, gate = judge(limits, [], [change], on or basis())
    return gate


@pytest.mark.parametrize(
    ("limits", "change", "verdict"),
    [
        (DiffLimits(max_negative_flips=0.02), file(lost=2), "passed"),
        (DiffLimits(max_negative_flips=0.02), file(lost=3), "failed"),
        (DiffLimits(max_negative_flips=0.0), file(lost=0, right=5), "passed"),
        (DiffLimits(max_negative_flips=0.0), file(lost=1, right=5), "failed"),
        (DiffLimits(max_negative_flips=0.01), file(lost=1, right=5), "not judged"),
        (DiffLimits(max_negative_flips=0.01), file(lost=2, right=5), "failed"),
        (DiffLimits(max_negative_flips=0.01), file(right=0), "not judged"),
        (DiffLimits(max_negative_flips=0.01), file(negative_flips=None), "not judged"),
        (DiffLimits(max_accuracy_drop=0.01), file(new=entry("b", accuracy=0.89)), "passed"),
        (DiffLimits(max_accuracy_drop=0.01), file(new=entry("b", accuracy=0.88)), "failed"),
        (DiffLimits(max_accuracy_drop=0.01), file(new=entry("b", accuracy=None)), "not judged"),
        (DiffLimits(max_size_increase=0.05), file(new=entry("b", 1050)), "passed"),
        (DiffLimits(max_size_increase=0.05), file(new=entry("b", 1051)), "failed"),
        (DiffLimits(max_size_increase=0.0), file(new=entry("b", 999)), "passed"),
        (DiffLimits(max_latency_increase=0.05), file(costs=[cost(1.2, (1.1, 1.3))]), "failed"),
        (DiffLimits(max_latency_increase=0.05), file(costs=[cost(1.0, (0.98, 1.02))]), "passed"),
        (DiffLimits(max_latency_increase=0.05), file(costs=[cost(1.0, (0.8, 1.3))]), "not judged"),
        (DiffLimits(max_latency_increase=0.05), file(costs=[cost(1.2, None)]), "not judged"),
        (DiffLimits(max_latency_increase=0.05), file(costs=[cost(1.2, (1.2, 1.2), "instructions", True)]), "failed"),
        (DiffLimits(max_latency_increase=0.05), file(costs=[cost(1.2, (1.1, 1.3), emulated=True)]), "not judged"),
        (DiffLimits(max_latency_increase=0.05), file(), "not judged"),
        (DiffLimits(max_latency_increase=0.05), file(new=entry("a")), "passed"),
    ],
)
def test_a_limit(limits: DiffLimits, change: FileChange, verdict: str) -> None:
    gate = only(limits, change)
    assert gate.verdict == verdict and (gate.reason or verdict != "not judged")


def test_accuracies_on_other_images_are_not_compared() -> None:
    gate = only(
        DiffLimits(max_accuracy_drop=0.01), file(new=entry("b", accuracy=0.5)), basis(comparable="on other images")
    )
    assert (gate.verdict, gate.reason) == ("not judged", "on other images")


def test_the_contract_is_judged_without_limits() -> None:
    changes = [
        ContractChange(part="input", text="another size", breaks=True),
        ContractChange(part="files", text="a new file", breaks=False),
        ContractChange(part="meaning", text="perhaps swapped", breaks=True, judged=False),
    ]
    found = {gate.name: (gate.verdict, gate.reason) for gate in judge(DiffLimits(), changes, [file()], basis())}
    assert found == {
        "contract/labels": ("passed", ""),
        "contract/meaning": ("not judged", "perhaps swapped"),
        "contract/files": ("passed", ""),
        "contract/input": ("failed", "another size"),
        "contract/output": ("passed", ""),
        "contract/thresholds": ("passed", ""),
        "contract/runtime": ("passed", ""),
    }


@pytest.mark.parametrize(
    ("test_examples", "remedy"), [(100, "add --data, or more examples"), (None, "add more examples")]
)
def test_too_few_examples_leave_a_gate_unjudged(test_examples: int | None, remedy: str) -> None:
    on = basis("too few", test_examples)
    (meaning,) = [gate for gate in judge(DiffLimits(), [], [], on) if gate.name == "contract/meaning"]
    assert (meaning.verdict, meaning.reason) == ("not judged", f"too few; {remedy}")
    assert only(DiffLimits(max_negative_flips=0.01), file(lost=1, right=5), on).reason.endswith(f"; {remedy}")


@pytest.mark.parametrize(
    ("drop", "on", "images", "verdict"),
    [
        (1 / 63, basis(test_examples=None), 63, "passed"),
        (2 / 63, basis(test_examples=None), 63, "failed"),
        (1 / 63, basis(test_examples=63), 4, "passed"),
        (1 / 63, basis(test_examples=630), 4, "failed"),
    ],
)
def test_one_example_may_be_lost_where_the_limit_is_less(drop: float, on: Basis, images: int, verdict: str) -> None:
    change = file(images=images, new=entry("b", accuracy=0.9 - drop))
    assert only(DiffLimits(max_accuracy_drop=0.01), change, on).verdict == verdict


def test_limits_are_fractions_or_percents() -> None:
    found = limits_of({"max_negative_flips": "1%", "max_accuracy_drop": 0.005, "max_size_increase": "0"})
    assert found == DiffLimits(0.01, 0.005, 0.0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_negative_flips", "many", "--max-negative-flips: 'many' is not a limit of a change"),
        ("max_negative_flips", "-1%", "--max-negative-flips: '-1%' is not"),
        ("max_negative_flips", "200%", "max_negative_flips = 2.0 must be a finite number from 0 to 1"),
        ("max_size_increase", "5", "Write 5%, or 500%"),
        ("max_negative_flips", "5", "5 would be 500 % of change. Write 5%."),
        ("max_accuracy_drop", "1", "Write 1%, or 100%"),
        ("max_latency_increase", "0%", "max_latency_increase = 0 must be above 0"),
        ("max_size_increase", "nan", "'nan' is not a limit"),
        ("max_size_increase", "", "'' is not a limit"),
    ],
)
def test_wrong_limits(name: str, value: str, message: str) -> None:
    with pytest.raises(RequestError) as error:
        limits_of({name: value})
    assert message in str(error.value)
