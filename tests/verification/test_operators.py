from pathlib import Path

import pytest

from tests.verification.conftest import Exported
from tfkd.verification import VerifyError, operators

# conftest's network at 32 px: 3x3 to 16x16x8, 3x3 to 8x8x16, depthwise 3x3, dense 16 to 3; counted by hand.
MULTIPLY_ADDS = {
    "CONV_2D": 16 * 16 * 8 * (3 * 3 * 3) + 8 * 8 * 16 * (3 * 3 * 8),
    "DEPTHWISE_CONV_2D": 8 * 8 * 16 * (3 * 3),
    "FULLY_CONNECTED": 16 * 3,
}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "dynamic", "int8"])
def test_arithmetic_is_that_of_the_network(exported: Exported, precision: str) -> None:
    counted: dict[str, int] = {}
    for operator in operators.read(exported.path(f"_{precision}.tflite")):
        counted[operator.kind] = counted.get(operator.kind, 0) + operator.multiply_adds
    assert {kind: count for kind, count in counted.items() if count} == MULTIPLY_ADDS


def test_operators_agree_with_litert(exported: Exported) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    path = exported.path("_int8.tflite")
    interpreter = Interpreter(
        model_path=str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    found = operators.read(path)
    described = interpreter._get_ops_details()
    assert [operator.kind for operator in found] == [each["op_name"] for each in described]
    for operator, each in zip(found, described, strict=True):
        (made,) = operator.outputs
        details = interpreter._get_tensor_details(made.index, 0)
        assert made.index == each["outputs"][0]
        assert (made.name, made.shape) == (details["name"], tuple(details["shape"]))
        if made.scale is not None:
            assert (made.scale, made.zero_point) == pytest.approx(details["quantization"])


def test_weights_are_counted_in_bytes(exported: Exported) -> None:
    quantized = operators.read(exported.path("_int8.tflite"))
    (depthwise,) = (operator for operator in quantized if operator.kind == "DEPTHWISE_CONV_2D")
    assert [operand.stored for operand in depthwise.inputs] == [0, 3 * 3 * 16, 4 * 16]
    assert [operand.constant for operand in depthwise.inputs] == [False, True, True]
    assert depthwise.inputs[1].scale is None, "its weights have a scale for each channel"


def test_only_constants_are_prepared(exported: Exported) -> None:
    half = operators.read(exported.path("_fp16.tflite"))
    assert {operator.kind for operator in half if operator.prepares_constants} == {"DEQUANTIZE"}


def test_a_name_is_the_first_of_a_fused_operators(exported: Exported) -> None:
    found = operators.read(exported.path("_fp32.tflite"))
    (depthwise,) = (operator for operator in found if operator.kind == "DEPTHWISE_CONV_2D")
    assert ";" in depthwise.outputs[0].name
    assert depthwise.outputs[0].name.startswith(f"{depthwise.name};")
    assert len({operator.name for operator in found}) == len(found)


def test_an_operator_that_points_nowhere_is_one_line(exported: Exported, tmp_path: Path) -> None:
    import flatbuffers

    from tfkd.verification import tflite

    model = tflite.model(exported.path("_fp32.tflite"))
    model.subgraphs[0].operators[0].opcodeIndex = 99
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "nowhere.tflite"
    path.write_bytes(bytes(builder.Output()))
    with pytest.raises(VerifyError, match=r"nowhere\.tflite: its operators point to what is not in the file"):
        operators.read(path)
