"""Photos of more than 8 bits: one range per data set, found or declared, and never black without a warning."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.photos import encoded, fill, picture, png16, tiff
from tfkd.data import Dataset, open_source
from tfkd.data.check import fitted
from tfkd.data.dataset import Split
from tfkd.data.renderings import rendered
from tfkd.errors import RequestError
from tfkd.inputs.image.decode import ExampleError, decode, read
from tfkd.inputs.image.depth import FLOAT, INTEGER, SIXTEEN, fitting
from tfkd.recipe import Data

RAMP = np.linspace(0, 1, 64).reshape(8, 8)  # of the darkest value to the brightest


def write(root: Path, contents: dict[str, list[bytes]]) -> Path:
    for folder, photos in contents.items():
        (root / folder).mkdir(parents=True)
        for i, photo in enumerate(photos):
            (root / folder / f"{i}.png").write_bytes(photo)
    return root


def grey16(values: np.ndarray) -> bytes:
    return encoded(Image.fromarray(values.astype(np.uint16)), "PNG")


def opened(root: Path, **fields: object) -> Dataset:
    return open_source(Data(source=f"folder:{root}", max_rejected=0.5, **fields), 1)


def brightest(split: Split) -> list[int]:
    return [max(high for _, high in split.load(i).getextrema()) for i in range(len(split))]


@pytest.mark.parametrize(
    ("kind", "low", "high", "limits"),
    [
        (SIXTEEN, 0, 200, (0, 255)),
        (SIXTEEN, 3, 1000, (0, 1023)),
        (SIXTEEN, 0, 4095, (0, 4095)),
        (SIXTEEN, 0, 4096, (0, 16383)),
        (SIXTEEN, 0, 16384, (0, 65535)),
        (INTEGER, 0, 255, (0, 255)),
        (INTEGER, -1024, 3071, (-1024, 3071)),
        (INTEGER, 0, 70000, (0, 70000)),
        (INTEGER, -5, -5, (-5, -4)),
        (FLOAT, 0, 1.0003, (0, 1)),
        (FLOAT, -1, 1, (-1, 1)),
        (FLOAT, 0, 255, (0, 255)),
        (FLOAT, 0, 3000, (0, 4095)),
        (FLOAT, -7, 9, (-7, 9)),
    ],
)
def test_a_range_fits_what_a_data_set_holds(kind: str, low: float, high: float, limits: tuple[float, float]) -> None:
    assert fitting(kind, low, high) == limits


@pytest.mark.parametrize(
    ("photo", "kind", "limits"),
    [
        (grey16(RAMP * 4095), SIXTEEN, (0, 4095)),
        (grey16(RAMP * 65535), SIXTEEN, (0, 65535)),
        (encoded(Image.fromarray((RAMP * 4095).astype(np.uint16)), "TIFF"), SIXTEEN, (0, 4095)),
        (tiff((RAMP * 4095).astype(np.uint16), ">"), SIXTEEN, (0, 4095)),
        (png16(np.repeat((RAMP * 4095).astype(np.uint16)[..., None], 3, -1)), SIXTEEN, (0, 4095)),
        (tiff(np.repeat((RAMP * 4095).astype(np.uint16)[..., None], 3, -1)), SIXTEEN, (0, 4095)),
        (tiff(np.repeat((RAMP * 4095).astype(np.uint16)[..., None], 3, -1), ">"), SIXTEEN, (0, 4095)),
        (tiff((RAMP * 255).astype(np.int32)), INTEGER, (0, 255)),
        (tiff((RAMP * 255).astype(np.uint32)), INTEGER, (0, 255)),
        (tiff((RAMP * (2**32 - 1)).astype(np.uint32)), INTEGER, (0, 2**32 - 1)),
        (tiff((RAMP * 4000 - 1000).astype(np.int16)), INTEGER, (-1000, 3000)),
        (tiff(RAMP.astype(np.float32)), FLOAT, (0, 1)),
        (tiff((RAMP * 2 - 1).astype(np.float32), ">"), FLOAT, (-1, 1)),
    ],
)
def test_every_depth_becomes_the_same_picture(photo: bytes, kind: str, limits: tuple[float, float]) -> None:
    deep = read(photo, 1024).deep
    assert deep is not None and deep.kind == kind
    assert fitting(kind, *deep.extremes()) == limits
    image = np.asarray(decode(photo, 1024, {kind: limits}))
    np.testing.assert_allclose(image, np.repeat(RAMP[..., None] * 255, 3, -1), atol=1.5)


def test_colours_keep_their_own_values() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (6, 5, 3)).astype(np.uint16)
    np.testing.assert_array_equal(decode(png16(values), 1024, {SIXTEEN: (0, 4095)}), values >> 4)
    alpha = np.dstack([values, np.where(np.arange(5) < 2, 0, 4095) * np.ones((6, 1), int)]).astype(np.uint16)
    image = np.asarray(decode(png16(alpha), 1024, {SIXTEEN: (0, 4095)}))
    np.testing.assert_array_equal(image[:, 2:], values[:, 2:] >> 4)
    assert (image[:, :2] == 255).all(), "transparency is laid over white"


def test_a_deep_photo_is_turned_and_bounded_like_any_other() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = np.zeros((20, 40), np.uint16)
    wide[:, :20] = 4095  # the left half of what is stored is the upper half of what is shown
    image = decode(encoded(Image.fromarray(wide), "PNG", exif=exif), 20, {SIXTEEN: (0, 4095)})
    assert image.size == (10, 20)
    assert (image.getpixel((5, 2)), image.getpixel((5, 17))) == ((255,) * 3, (0,) * 3)


def test_nan_is_black_and_does_not_decide_the_range() -> None:
    values = RAMP.astype(np.float32)
    values[0, 0], values[0, 1], values[0, 2] = np.nan, -np.inf, np.inf
    deep = read(tiff(values), 1024).deep
    assert deep is not None and deep.extremes()[1] == 1.0
    assert np.asarray(decode(tiff(values), 1024, {FLOAT: (0, 1)}))[0, :3, 0].tolist() == [0, 0, 255]
    with pytest.raises(ExampleError, match="declare their range"):
        decode(tiff(values), 1024)


def test_the_range_belongs_to_the_data_set_and_not_to_a_photo(tmp_path: Path) -> None:
    dark = [grey16(RAMP * (100 + i)) for i in range(6)]
    root = write(tmp_path, {"dark": dark, "light": [grey16(RAMP * (4000 + i)) for i in range(6)]})
    data = opened(root)
    assert data.ranges == {SIXTEEN: (0, 4095)}
    assert any("hold values from 0 to 4005" in note and "4095 becomes 255" in note for note in data.notes)
    for split in (data.train, data.validation, data.test):
        for i, value in enumerate(brightest(split)):
            assert value == (6 if split.labels[i] == 0 else 250), "a stretch per photo would make both 255"


def test_unlabelled_photos_take_part_and_get_the_same_range(tmp_path: Path) -> None:
    root = write(
        tmp_path / "set", {name: [grey16(RAMP * (900 + 20 * k + i)) for i in range(5)] for k, name in enumerate("ab")}
    )
    extra = write(tmp_path / "extra", {"x": [grey16(RAMP * 16383)]})
    data = opened(root, unlabelled=f"folder:{extra}")
    assert data.ranges == {SIXTEEN: (0, 16383)} and data.unlabelled is not None
    assert brightest(data.unlabelled) == [255] and max(brightest(data.train)) < 20
    assert opened(root).ranges == {SIXTEEN: (0, 1023)}
    assert opened(root).labelled != data.labelled, "the labelled photos are seen otherwise"


def test_other_photos_are_read_as_those_of_the_training(tmp_path: Path) -> None:
    root = write(tmp_path, {name: [grey16(RAMP * (900 + 20 * k + i)) for i in range(5)] for k, name in enumerate("ab")})
    data = open_source(Data(source=f"folder:{root}"), 1, ranges={SIXTEEN: (0, 4095)})
    assert data.ranges == {SIXTEEN: (0, 4095)} and max(brightest(data.train)) < 60
    assert data.fingerprint != open_source(Data(source=f"folder:{root}"), 1).fingerprint


def test_a_declared_range_is_used(tmp_path: Path) -> None:
    root = write(tmp_path, {name: [grey16(RAMP * (900 + 20 * k + i)) for i in range(5)] for k, name in enumerate("ab")})
    data = opened(root, pixel_range=(0, 2047))
    assert data.ranges == {SIXTEEN: (0, 2047)} and 100 < max(brightest(data.train)) < 130
    assert data.fingerprint != opened(root).fingerprint
    kept = tmp_path.parent / "kept"
    for limits in (None, (0, 2047), None):
        settings = Data(source=f"folder:{root}", pixel_range=limits)
        assert open_source(settings, 1, checked=kept).ranges == {SIXTEEN: limits or (0, 1023)}
    with pytest.raises(RequestError, match="smaller one first"):
        Data(source="folder:x", pixel_range=(1, 1))


def test_black_and_plain_photos_are_counted(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 6, "b": 6})
    assert not opened(root).warnings
    for name, colour in (("a/black", (12, 4, 9)), ("b/plain", (90, 120, 30))):
        (root / f"{name}.png").write_bytes(encoded(Image.new("RGB", (300, 200), colour), "PNG"))
    (warning,) = opened(root).warnings
    assert "2 photos all but black or of one colour: a/black.png; b/plain.png" in warning
    one = Image.new("RGB", (300, 200), "white")
    one.putpixel((7, 7), (0, 0, 0))
    (root / "b" / "plain.png").write_bytes(encoded(one, "PNG"))
    assert "1 photo all but" in opened(root).warnings[0], "a mark that the thumbnail misses is seen"


def test_one_bright_photo_among_twelve_bits_makes_the_others_black_with_a_warning(tmp_path: Path) -> None:
    dark = [grey16(RAMP * (3000 + i)) for i in range(6)]
    data = opened(
        write(tmp_path, {"a": dark, "b": [grey16(RAMP * (2000 + i)) for i in range(5)] + [grey16(RAMP * 65535)]})
    )
    assert data.ranges == {SIXTEEN: (0, 65535)}
    assert any("11 photos all but black" in warning for warning in data.warnings)


def test_paired_depth_maps_have_one_range_too(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", {"a": 6, "b": 6})
    (tmp_path / "depth").mkdir()
    for number, file in enumerate(sorted(root.rglob("*.jpg"))):
        other = tmp_path / "depth" / file.relative_to(root).with_suffix(".png")
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(grey16(RAMP * (1000 + 250 * number)))
    shown = rendered(f"folder:{tmp_path / 'depth'}", opened(root))
    assert shown.train.reading.ranges == shown.test.reading.ranges == {SIXTEEN: (0, 4095)}
    assert max(map(max, map(brightest, (shown.train, shown.validation, shown.test)))) == 234
    assert fitted([opened(root).train])[0].reading.ranges == {}


def test_an_8_bit_photo_is_not_touched_by_a_range() -> None:
    photo = encoded(picture(3), "PNG")
    np.testing.assert_array_equal(decode(photo, 1024, {SIXTEEN: (0, 4095)}), decode(photo, 1024))


def test_grey_with_opacity_keeps_its_own_values() -> None:
    grey = np.random.default_rng(0).integers(0, 4096, (6, 5)).astype(np.uint16)
    opacity = np.where(np.arange(5) < 2, 0, 65535) * np.ones((6, 1), int)
    image = np.asarray(decode(png16(np.dstack([grey, opacity]).astype(np.uint16)), 1024, {SIXTEEN: (0, 4095)}))
    np.testing.assert_array_equal(image[:, 2:], np.repeat(grey[:, 2:, None] >> 4, 3, 2))
    assert (image[:, :2] == 255).all()


@pytest.mark.parametrize("channels", [2, 4])
def test_opacity_has_the_range_of_its_format_and_not_that_of_the_colours(channels: int) -> None:
    values = np.zeros((4, 4, channels), np.uint16)
    values[..., -1] = 32768
    image = np.asarray(decode(png16(values), 1024, {SIXTEEN: (0, 4095)}))
    assert np.abs(image.astype(int) - 127).max() <= 1, "half of white shines through"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_value_of_16_bits_is_composed_over_white(channels: int) -> None:
    values = np.full((4, 4, channels), 2048, np.uint16)
    values[:, 0] = 7
    image = np.asarray(decode(png16(values, transparent=b"\0\7" * channels), 1024, {SIXTEEN: (0, 4095)}))
    assert (image[:, 0] == 255).all() and (image[:, 1:] == 128).all()


@pytest.mark.parametrize(
    ("values", "kind", "limits"),
    [
        ((RAMP * 4095).astype(np.uint16), SIXTEEN, (0, 4095)),
        (RAMP.astype(np.float32), FLOAT, (0, 1)),
    ],
)
def test_photos_with_white_is_zero_are_inverted(values: np.ndarray, kind: str, limits: tuple[float, float]) -> None:
    image = np.asarray(decode(tiff(values, white_is_zero=True), 1024, {kind: limits}))
    np.testing.assert_allclose(image[..., 0], 255 - RAMP * 255, atol=1.5)


def test_signed_bytes_are_not_read_as_unsigned_ones() -> None:
    photo = tiff((RAMP * 255 - 128).astype(np.int8))
    deep = read(photo, 1024).deep
    assert deep is not None and deep.extremes() == (-128, 127)
    np.testing.assert_allclose(np.asarray(decode(photo, 1024, {INTEGER: (-128, 127)}))[..., 0], RAMP * 255, atol=1.5)


def test_photos_that_would_be_read_wrongly_are_refused() -> None:
    with pytest.raises(ExampleError, match="a TIFF of 16-bit colours in separate planes; convert it to PNG"):
        decode(tiff(np.zeros((4, 4, 3), np.uint16), planes=2), 1024)
    with pytest.raises(ExampleError, match="none of its values is a number"):
        read(tiff(np.full((4, 4), np.nan, np.float32)), 1024)


def test_a_few_extreme_values_that_reduce_the_contrast_are_a_warning(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    unfilled = [np.where(drawn.random((16, 16)) < 0.3, -9999, drawn.random((16, 16))) for _ in range(12)]
    defect = [drawn.integers(0, 4096, (16, 16)) for _ in range(12)]
    defect[0][0, 0] = 65535
    photos = [tiff(each.astype(np.float32)) for each in unfilled], [grey16(each) for each in defect]
    for name, each in zip(("unfilled", "defect"), photos, strict=True):
        root = write(tmp_path / name, {"a": each[:6], "b": each[6:]})
        assert any(
            "12 of 12" in warning and "lose most of their contrast" in warning for warning in opened(root).warnings
        )
    declared = opened(tmp_path / "defect", pixel_range=(0, 4095))
    assert not any("contrast" in warning for warning in declared.warnings)


def test_a_range_that_no_photo_needs_is_reported(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 6, "b": 6})
    assert "data.pixel_range is not used: no photo has more than 8 bits" in opened(root, pixel_range=(0, 4095)).notes


@pytest.mark.parametrize("value", ["0,4095", [0], [0, 1, 2], [4095, 0], [0, float("nan")], "auto", 4095])
def test_a_range_is_two_numbers(value: object) -> None:
    with pytest.raises(RequestError, match=r"must be two numbers, the smaller one first, e\.g\. \[0, 4095\]"):
        Data(source="folder:x", pixel_range=value)


def test_equal_plain_photos_are_reported_as_such(tmp_path: Path) -> None:
    root = write(tmp_path, {name: [grey16(np.full((8, 8), 1000))] * 6 for name in "ab"})
    with pytest.raises(RequestError, match=r"12 of 12 photos are all but black or of one colour.*data\.pixel_range"):
        opened(root)
