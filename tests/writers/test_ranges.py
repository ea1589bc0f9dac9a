from pathlib import Path

import keras
import numpy as np
import pytest

from tests.writers.conftest import CARD, SIZE, Exported
from tfkd.writers.flatbuffer import TfliteNetwork
from tfkd.writers.quantize import _bare
from tfkd.writers.ranges import best_range, min_max
from tfkd.writers.tflite import write_tflite


def squared_error(values: np.ndarray, low: float, high: float, levels: int) -> float:
    """Of a uniform quantization with a level at zero, on the values themselves, not on a histogram."""
    step = (high - low) / (levels - 1)
    lowest = np.rint(low / step)
    quantized = np.clip(np.rint(values / step), lowest, lowest + levels - 1) * step
    return float(np.square(values - quantized).mean())


def counted(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    low, high = min(0.0, values.min()), max(0.0, values.max())
    counts, _ = np.histogram(values, 2048, (low, high))
    return counts.astype(np.float64), low, high


@pytest.mark.parametrize("levels", [16, 256])
@pytest.mark.parametrize("kind", ["normal", "laplace", "relu", "outlier", "negative"])
def test_no_other_range_is_much_better(kind: str, levels: int) -> None:
    rng = np.random.default_rng(0)
    values = {
        "normal": rng.normal(0.3, 1, 20_000),
        "laplace": rng.laplace(0, 1, 20_000),
        "relu": np.maximum(rng.normal(0, 2, 20_000), 0),
        "outlier": np.append(rng.uniform(0, 1, 20_000), 3.0),
        "negative": -np.abs(rng.normal(0, 1, 20_000)),
    }[kind]
    counts, low, high = counted(values)
    chosen = squared_error(values, *best_range(counts, low, high, levels), levels)
    assert chosen <= squared_error(values, low, high, levels)
    tried = [
        squared_error(values, low * left, high * right, levels)
        for left in np.linspace(0.05, 1, 25)
        for right in np.linspace(0.05, 1, 25)
    ]
    assert chosen <= 1.1 * min(tried)


def test_few_levels_clip_and_many_do_not() -> None:
    values = np.random.default_rng(1).laplace(0, 1, 50_000)
    counts, low, high = counted(values)
    widths = [np.ptp(best_range(counts, low, high, levels)) for levels in (16, 256, 65_536)]
    assert widths[0] < widths[1] < widths[2]
    assert widths[2] == pytest.approx(high - low, rel=0.03)


def test_evenly_spread_values_keep_their_range() -> None:
    assert best_range(np.ones(2048), -1.0, 3.0, 256) == pytest.approx((-1.0, 3.0), abs=0.05)


@pytest.mark.parametrize("limits", [(0.0, 0.0), (-2.0, 0.0), (0.0, 5.0)])
def test_zero_stays_inside(limits: tuple[float, float]) -> None:
    low, high = best_range(np.random.default_rng(2).random(2048), *limits, 256)
    assert limits[0] <= low <= 0 <= high <= limits[1]


def test_a_range_holds_what_every_image_does(exported: Exported) -> None:
    bare = _bare(exported.path("_fp32.tflite").read_bytes(), exported.images[:5])
    whole = min_max(bare.network, bare.images)
    alone = [min_max(bare.network, image[np.newaxis]) for image in bare.images]
    assert len(whole) > 5 and len({tuple(ranges.values()) for ranges in alone}) == 5
    for tensor, limits in whole.items():
        lows, highs = zip(*(ranges[tensor] for ranges in alone), strict=True)
        assert limits == (min(lows), max(highs))


def test_a_narrow_range_is_widened_until_xnnpack_can_add_it(exported: Exported, tmp_path: Path) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    kernel = keras.initializers.RandomNormal(stddev=1e-6, seed=1)
    x = keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=kernel)(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Multiply()([x, x + 3.0]))
    write_tflite(keras.Model(image, keras.layers.Dense(3)(x)), "int8", tmp_path / "x.tflite", CARD, exported.images[:4])
    network = TfliteNetwork((tmp_path / "x.tflite").read_bytes())
    (added,) = [operator for operator in network.graph.operators if network.kind(operator) == "ADD"]
    tensors = [network.graph.tensors[number] for number in (*added.inputs, *added.outputs)]
    scales = [float(tensor.quantization.scale[0]) for tensor in tensors]
    assert max(scales) / min(scales) < 2**8
