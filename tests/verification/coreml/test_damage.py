"""Files that are damaged or hostile: one line that says what is wrong, and nothing read outside the package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verification.conftest import SIZE, Exported
from tests.verification.coreml.converted import PROTOBUF, WEIGHTS, change
from tfkd.verification import VerifyError, coreml


def operations(specification: Any, kind: str) -> list[Any]:
    main = specification.mlProgram.functions["main"]
    return [each for each in main.block_specializations[main.opset].operations if each.type == kind]


def layers(specification: Any, kind: str) -> list[Any]:
    return [layer for layer in specification.neuralNetworkClassifier.layers if layer.WhichOneof("layer") == kind]


def unknown_operation(specification: Any) -> None:
    operations(specification, "conv")[0].type = "fold_paper"


def other_arguments(specification: Any) -> None:
    operations(specification, "conv")[0].inputs["colour"].CopyFrom(operations(specification, "conv")[0].inputs["x"])


def missing_value(specification: Any) -> None:
    operations(specification, "conv")[0].inputs["x"].arguments[0].name = "nobody"


def other_shape(specification: Any) -> None:
    kind = operations(specification, "conv")[0].outputs[0].type.tensorType
    kind.dimensions[1].constant.size = 5


def no_classifier(specification: Any) -> None:
    operations(specification, "classify")[0].type = "identity"


def outside(specification: Any) -> None:
    for operation in operations(specification, "const"):
        value = operation.attributes["val"]
        if value.WhichOneof("value") == "blobFileValue":
            value.blobFileValue.fileName = "@model_path/../../../secret.bin"


def absolute(specification: Any) -> None:
    for operation in operations(specification, "const"):
        value = operation.attributes["val"]
        if value.WhichOneof("value") == "blobFileValue":
            value.blobFileValue.fileName = "@model_path//etc/passwd"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (unknown_operation, "operator 'fold_paper'"),
        (other_arguments, "operator 'conv' .* other arguments than its kind"),
        (missing_value, "reads 'nobody', which nothing before it makes"),
        (other_shape, r"the operator 'conv' .* it makes the shape \[1, 8, 16, 16\], not \[1, 5, 16, 16\]"),
        (no_classifier, "1 inputs and 0 classifiers"),
        (outside, "names the file '../../../secret.bin' outside itself"),
        (absolute, "names the file '/etc/passwd' outside itself"),
    ],
)
def test_programs(exported: Exported, tmp_path: Path, damage: Callable[[Any], None], message: str) -> None:
    (tmp_path / "secret.bin").write_bytes(exported.path(".mlpackage").joinpath(WEIGHTS).read_bytes())
    path = change(exported.path(".mlpackage"), tmp_path / "a" / "damaged.mlpackage", damage)
    refused(path, message)


def unknown_layer(specification: Any) -> None:
    layers(specification, "convolution")[0].gru.inputVectorSize = 3


def lost_weights(specification: Any) -> None:
    del layers(specification, "convolution")[0].convolution.weights.floatValue[-1]


def huge(specification: Any) -> None:
    borders = layers(specification, "convolution")[0].convolution.valid.paddingAmounts.borderAmounts
    for _ in range(2):
        borders.add(startEdgeSize=65536, endEdgeSize=65536)


def unmade(specification: Any) -> None:
    layers(specification, "softmaxND")[0].input[0] = "nobody"


def too_many_outputs(specification: Any) -> None:
    layers(specification, "convolution")[0].output.append("more")


def of_rank_5(specification: Any) -> None:
    specification.neuralNetworkClassifier.imageInputShapeMapping = 0


def grey(specification: Any) -> None:
    specification.description.input[0].type.imageType.colorSpace = 10


def immense(specification: Any) -> None:
    specification.description.input[0].type.imageType.width = 1 << 40


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (unknown_layer, "operator 'gru'"),
        (lost_weights, "the operator 'convolution' .* 215 weights for the shape"),
        (huge, "the operator 'convolution' .* the impossible shape"),
        (unmade, "reads 'nobody'"),
        (too_many_outputs, "it makes 1 values, not 2"),
        (of_rank_5, "convert it for iOS 13 or later"),
        (grey, "is no colour image"),
        (immense, "pixels, which no image is"),
    ],
)
def test_networks(exported: Exported, tmp_path: Path, damage: Callable[[Any], None], message: str) -> None:
    refused(change(exported.path(".mlmodel"), tmp_path / "damaged.mlmodel", damage), message)


def test_a_link_out_of_the_package(exported: Exported, tmp_path: Path) -> None:
    path = change(exported.path(".mlpackage"), tmp_path / "linked.mlpackage", lambda specification: None)
    secret = (path / WEIGHTS).rename(tmp_path / "secret.bin")
    (path / WEIGHTS).symlink_to(secret)
    refused(path, "names the file 'weights/weight.bin' outside itself")


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 500])
def test_weights_that_are_gone(exported: Exported, tmp_path: Path, content: bytes | None) -> None:
    path = change(exported.path(".mlpackage"), tmp_path / "lost.mlpackage", lambda specification: None)
    (path / WEIGHTS).unlink()
    if content is not None:
        (path / WEIGHTS).write_bytes(content)
    refused(path, "is missing" if content is None else "weights")


def refused(path: Path, message: str) -> None:
    with pytest.raises(VerifyError, match=message) as caught:
        coreml.predict(path, [])
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def copy(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutated")
    change(exported.path(".mlmodel"), folder / "one.mlmodel", lambda specification: None)
    change(exported.path(".mlpackage"), folder / "one.mlpackage", lambda specification: None)
    return folder


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    st.sampled_from([Path("one.mlmodel"), "one.mlpackage" / PROTOBUF, "one.mlpackage" / WEIGHTS]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0.5, 2.0),
)
def test_mutated_files_run_or_are_refused(copy: Path, part: Path, bytes_: list[tuple[float, int]], cut: float) -> None:
    path = copy / part
    whole = path.read_bytes()
    content = bytearray(whole)
    for place, value in bytes_:
        content[int(place * len(content))] = value
    path.write_bytes(content[: int(cut * len(content))])
    try:
        probabilities = coreml.predict(copy / part.parts[0], [np.zeros((1, SIZE, SIZE, 3), np.uint8)])
        assert probabilities.shape[0] == 1
    except VerifyError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)
