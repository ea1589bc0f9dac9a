"""The record of Core ML's neural networks."""

import pytest

from tests.formats.facts import FormatFacts
from tfkd.formats.mlmodel import MLMODEL

FACTS = FormatFacts(
    files={
        "mlmodel": "ios/tiny.mlmodel",
        "mlmodel_fp16": "ios/tiny_fp16.mlmodel",
        "mlmodel_int8": "ios/tiny_int8.mlmodel",
    },
    errors={"mlmodel": 1e-6, "mlmodel_fp16": 2e-4, "mlmodel_int8": 4e-3},
    runtimes=dict.fromkeys(("mlmodel", "mlmodel_fp16", "mlmodel_int8"), "iOS 13"),
)


@pytest.mark.parametrize(
    ("delegate", "names"), [("cpuOnly", ("coreml_fp32",)), ("all", ("coreml_fp32", "coreml_fp16"))]
)
def test_a_device_computes_in_float32_on_its_cpu_alone(delegate: str, names: tuple[str, ...]) -> None:
    assert MLMODEL.accepted_families("fp32", delegate) == names
    assert MLMODEL.stored_families("fp16") == ("coreml_fp32",)


@pytest.mark.parametrize(("target", "ios"), [(None, 13), (13, 13), (14, 14), (17, 14)])
def test_nothing_newer_than_ios_14_changes_a_neural_network(target: int | None, ios: int) -> None:
    assert MLMODEL.ios("int8", target) == ios
