"""The record of Core ML's ML programs."""

import pytest

from tests.formats.facts import FormatFacts
from tfkd.formats.mlpackage import MLPACKAGE

FACTS = FormatFacts(
    files={
        "mlpackage": "ios/tiny.mlpackage",
        "mlpackage_fp32": "ios/tiny_fp32.mlpackage",
        "mlpackage_int8": "ios/tiny_int8.mlpackage",
        "mlpackage_palette6": "ios/tiny_palette6.mlpackage",
        "mlpackage_palette4": "ios/tiny_palette4.mlpackage",
        "mlpackage_pruned": "ios/tiny_pruned.mlpackage",
    },
    # The tiny network has no weights to compress; tests/writers/test_coreml_compression.py writes the other forms.
    errors={"mlpackage": 1e-3, "mlpackage_fp32": 1e-6, "mlpackage_palette4": 1e-3},
    runtimes={"mlpackage": "iOS 15", "mlpackage_fp32": "iOS 15", "mlpackage_palette4": "iOS 16"},
)


@pytest.mark.parametrize(("precision", "names"), [("fp32", ("coreml_fp32",)), ("int8", ("coreml_fp16",))])
def test_a_program_computes_everywhere_in_the_precision_that_it_states(precision: str, names: tuple[str, ...]) -> None:
    assert MLPACKAGE.stored_families(precision) == names
    for delegate in ("cpuOnly", "all"):
        assert MLPACKAGE.accepted_families(precision, delegate) == names


@pytest.mark.parametrize(("precision", "target", "ios"), [("fp16", None, 15), ("palette4", None, 16), ("fp16", 18, 18)])
def test_a_newer_target_is_kept(precision: str, target: int | None, ios: int) -> None:
    assert MLPACKAGE.ios(precision, target) == ios


def test_forms_that_change_predictions_are_not_compared_with_keras() -> None:
    assert {name for name, precision in MLPACKAGE.precisions.items() if not precision.gates} == {
        "palette6",
        "palette4",
        "pruned",
    }
