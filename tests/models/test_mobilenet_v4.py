"""MobileNetV4-Conv: the published networks."""

import keras
import pytest

from tests.models.families import FileCase, StudentFacts
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.models.cost import multiply_adds
from tfkd.recipe import Student

# The paper's results give 9.2 M parameters for the medium network; the blocks of its code have 9.7 M, as in timm.
FACTS = {
    "mobilenet_v4_conv_small": StudentFacts(
        millions=3.8,
        sizes=(32, 64),
        alike=("relu",),
        files=(
            FileCase("relu6", 65, 0.25, ("fp32", "fp16", "dynamic", "int8")),
            FileCase("relu", 32, 1.0, ("int8",)),
            FileCase("silu", 32, 0.25, ("int8",)),
            FileCase("hard_swish", 64, 0.25, ("int8",)),
        ),
    ),
    # Both networks are built by the same code: fp32 and fp16 files of one are enough.
    "mobilenet_v4_conv_medium": StudentFacts(
        millions=9.7,
        files=(
            FileCase("relu6", 32, 0.25, ("int8",)),
            FileCase("relu", 64, 0.25, ("int8",)),
            FileCase("silu", 32, 0.25, ("int8",)),
            FileCase("hard_swish", 32, 0.25, ("int8",)),
        ),
    ),
}


@pytest.mark.parametrize(
    ("name", "size", "published"), [("conv_small", 224, 0.2e9), ("conv_medium", 224, 0.84e9), ("conv_medium", 256, 1e9)]
)
def test_it_costs_what_was_published(name: str, size: int, published: float) -> None:
    """Qin et al. 2024, table 5 (the small network at 224 px, the medium one at 256 px); timm's list at 224 px."""
    student = build_student(Student(model=f"mobilenet_v4_{name}"), signature(size), 1000, seed=0)
    assert multiply_adds(student) == pytest.approx(published, rel=0.09)


def kinds(model: keras.Model, block: int) -> list[str]:
    return [layer.name.split("_", 2)[2] for layer in model.layers if layer.name.startswith(f"block_{block}_")]


def test_every_kind_of_bottleneck_is_in_the_medium_network() -> None:
    """Section 3 of the paper: extra depthwise, ConvNext-like, feed-forward; the plain one is in the small network."""
    medium, small = (
        build_student(Student(model=f"mobilenet_v4_conv_{name}", width=0.25), signature(32), 5, seed=0)
        for name in ("medium", "small")
    )
    start, project = ["start", "start_bn"], ["project", "project_bn"]
    expand, depthwise = ([part, f"{part}_bn", f"{part}_act"] for part in ("expand", "depthwise"))
    assert kinds(medium, 0) == [*start, *expand, *depthwise, *project]
    assert kinds(medium, 7) == [*start, *expand, *project, "add"]
    assert kinds(medium, 8) == [*expand, *project, "add"]
    assert kinds(small, 1) == [*expand, *depthwise, *project, "add"]


def test_width_scales_all_but_the_hidden_layer() -> None:
    half, double = (
        build_student(Student(model="mobilenet_v4_conv_small", width=width), signature(32), 5, seed=0)
        for width in (0.5, 2.0)
    )
    sizes = [[model.get_layer(name).output.shape[-1] for name in ("conv", "top", "hidden")] for model in (half, double)]
    assert sizes == [[16, 480, 1280], [64, 1920, 2560]]


def test_weights_that_nobody_publishes_are_refused() -> None:
    with pytest.raises(RequestError, match="has no pretrained weights 'imagenet'; give a"):
        build_student(
            Student(model="mobilenet_v4_conv_small", width=0.25, weights="imagenet"), signature(32), 5, seed=0
        )
