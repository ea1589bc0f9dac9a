"""TensorFlow Lite's record."""

import pytest

from tests.formats.facts import FormatFacts
from tfkd.formats.tflite import TFLITE

FACTS = FormatFacts(
    files={name: f"android/tiny_{name}.tflite" for name in ("fp32", "fp16", "dynamic", "int8", "16x8")},
    errors={"fp32": 1e-6, "fp16": 2e-4, "dynamic": 4e-3, "int8": 8e-3, "16x8": 4e-3},
    runtimes={
        "fp32": "TensorFlow Lite 1.6.0",
        "fp16": "TensorFlow Lite 1.15.0",
        "dynamic": "TensorFlow Lite 2.4.0",
        "int8": "TensorFlow Lite 1.14.0",
        "16x8": "TensorFlow Lite 1.6.0",
    },
)


def test_a_bundle_holds_predictions_with_and_without_xnnpack() -> None:
    assert TFLITE.stored_families("int8") == ("xnnpack", "litert_kernels")


@pytest.mark.parametrize(
    ("delegate", "names"),
    [
        ("xnnpack", ("xnnpack",)),
        ("gpu", ("litert_gpu",)),
        ("npu", ("litert_npu",)),
        ("of a vendor", ("xnnpack", "litert_kernels")),
    ],
)
def test_a_device_is_accepted_as_the_families_of_its_delegate(delegate: str, names: tuple[str, ...]) -> None:
    assert TFLITE.accepted_families("int8", delegate) == names


def test_one_partition_is_required_only_of_files_that_xnnpack_runs_whole() -> None:
    judged = {name for name, precision in TFLITE.precisions.items() if "one_partition" in precision.gates}
    assert judged == {"fp32", "fp16", "int8"}


def test_quantization_aware_training_leaves_an_int8_file() -> None:
    assert [name for name, precision in TFLITE.precisions.items() if precision.from_qat] == ["int8"]
