"""Files of other tools, which want pixels in ranges of their own."""

import functools
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tests.verification.conftest import SIGNATURE, SIZE, Exported
from tfkd.errors import RequestError
from tfkd.inputs.image.normalization import NONE, WORDS, ImageNormalization, parse
from tfkd.verification import feeding, metadata, tflite
from tfkd.verification.feeding import feeds
from tfkd.verification.inspect import inspect
from tfkd.writers import metadata as written
from tfkd.writers.flatbuffer import TfliteNetwork

UNIT = parse("0,255")
TORCH = WORDS["torch"]


@pytest.fixture(scope="module")
def foreign(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Callable[[ImageNormalization], Path]:
    """Writes NAME_fp32.tflite and NAME_int8.tflite of a network that wants normalised pixels, without metadata."""

    @functools.cache
    def convert(normalization: ImageNormalization) -> Path:
        keras.utils.set_random_seed(6)
        image = keras.Input((SIZE, SIZE, 3), batch_size=1)
        x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(image)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation="relu")(x))
        model = keras.Model(image, keras.layers.Softmax()(keras.layers.Dense(3)(x)))
        folder = tmp_path_factory.mktemp("foreign")
        for name in ("fp32", "int8"):
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
            if name == "int8":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                black_to_white = np.linspace(0, 255, SIZE)[:, None, None] * np.ones((SIZE, SIZE, 3))
                calibration = [[normalization(each[np.newaxis])] for each in (*images[:3], black_to_white)]
                converter.representative_dataset = functools.partial(iter, calibration)
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.inference_input_type = tf.uint8
            (folder / f"net_{name}.tflite").write_bytes(converter.convert())
        return folder

    return convert


def stating(path: Path, normalization: ImageNormalization, to: Path) -> Path:
    """Writes a copy of a file whose metadata hold NormalizationOptions."""
    builder = flatbuffers.Builder(256)
    numbers = [written._floats(builder, *each) for each in (normalization.mean, normalization.std)]
    unit = written._table(builder, np.int8(1), written._table(builder, *numbers))
    tensor = written._table(builder, None, None, None, None, written._tables(builder, unit))
    graph = written._table(builder, None, None, written._tables(builder, tensor))
    builder.Finish(written._table(builder, None, None, None, written._tables(builder, graph)), b"M001")
    network = TfliteNetwork(path.read_bytes())
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(bytes(builder.Output()), np.uint8)
    entry.name, entry.buffer = b"TFLITE_METADATA", len(network.model.buffers)
    network.model.buffers.append(buffer)
    network.model.metadata = [*(network.model.metadata or []), entry]
    to.write_bytes(network.packed())
    return to


def lowest_ratio(path: Path, against: Path, images: np.ndarray, stated: ImageNormalization | None = None) -> float:
    comparison = inspect(path, against, images[:4], stated).comparison
    assert comparison is not None
    return min(each.signal_to_noise for each in comparison.layers if each.signal_to_noise is not None)


def test_the_files_of_a_bundle_are_fed_by_their_metadata(exported: Exported) -> None:
    """The int8 file's input has the range -1 to 1, and its float file expects pixels from 0 to 255."""
    feed, feed_float = feeds(exported.path("_int8.tflite"), exported.path("_fp32.tflite"))
    image = exported.images[0]
    np.testing.assert_array_equal(feed(image), image[np.newaxis])
    np.testing.assert_array_equal(feed_float(image), image[np.newaxis].astype(np.float32))
    assert str(feed_float) == "RGB from 0 to 255 (its metadata)"
    assert metadata.normalization(tflite.model(exported.path("_fp32.tflite"))) == NONE


def test_a_float_file_without_metadata_is_fed_in_the_range_of_the_quantized_file(
    foreign: Callable[[ImageNormalization], Path], images: np.ndarray
) -> None:
    folder = foreign(UNIT)
    path, against = folder / "net_int8.tflite", folder / "net_fp32.tflite"
    feed, feed_float = feeds(path, against)
    np.testing.assert_array_equal(feed(images[0]), images[:1])
    np.testing.assert_allclose(feed_float(images[0]), images[:1] / 255, atol=0.01)
    assert str(feed_float).endswith("(the range of net_int8.tflite)")
    assert lowest_ratio(path, against, images) > 10
    with pytest.raises(RequestError, match=r"computes other values than .* with RGB from 0 to 255 \(--normalization\)"):
        inspect(path, against, images[:4], NONE)


def test_a_float_file_of_unknown_range_is_refused(
    foreign: Callable[[ImageNormalization], Path], images: np.ndarray, tmp_path: Path
) -> None:
    path = foreign(UNIT) / "net_fp32.tflite"
    with pytest.raises(RequestError, match=r"does not state its range of pixel values; .* --normalization none, tf"):
        inspect(path, path, images[:2])
    feed, _ = feeds(path, path, TORCH)
    np.testing.assert_allclose(feed(images[0]), TORCH(images[:1]))
    described = stating(path, TORCH, tmp_path / "described.tflite")
    feed, feed_other = feeds(described, path)
    np.testing.assert_allclose(feed(images[0]), TORCH(images[:1]), rtol=1e-6)
    assert str(feed_other).endswith("(the metadata of described.tflite)")
    with pytest.raises(
        RequestError, match=r"described.tflite states in its metadata that it wants .*123.675.*, not RGB fr"
    ):
        feeds(described, path, NONE)


def test_a_quantized_input_of_an_unusual_range_needs_a_normalization(
    foreign: Callable[[ImageNormalization], Path], images: np.ndarray
) -> None:
    folder = foreign(TORCH)
    path, against = folder / "net_int8.tflite", folder / "net_fp32.tflite"
    with pytest.raises(RequestError, match=r"values from -2\.\d+ to 2\.\d+, not a usual range of pixels; set how"):
        inspect(path, against, images[:2])
    assert lowest_ratio(path, against, images, TORCH) > 10
    feed, _ = feeds(path, against, TORCH)
    tensor = tflite.io(path).input
    assert tensor.scale is not None and tensor.zero_point is not None
    values = (feed(images[0]).astype(np.float32) - tensor.zero_point) * tensor.scale
    np.testing.assert_allclose(values, TORCH(images[:1]), atol=0.51 * tensor.scale)


def test_photos_fit_into_a_square_rgb_image_alone(exported: Exported, tmp_path: Path) -> None:
    assert feeding.signature(exported.path("_fp32.tflite")) == SIGNATURE
    grey = keras.Sequential([keras.Input((8, 8, 1), batch_size=1), keras.layers.Flatten(), keras.layers.Dense(2)])
    (tmp_path / "grey.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(grey).convert())
    with pytest.raises(RequestError, match=r"takes float32 \[1, 8, 8, 1\]; photos fit into one square RGB image alone"):
        feeding.signature(tmp_path / "grey.tflite")
