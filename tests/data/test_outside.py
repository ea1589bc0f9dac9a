"""data.outside: examples of no class, which change nothing about the others."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.photos import fill_tinted
from tfkd.data import Dataset, open_source
from tfkd.data.renderings import rendered
from tfkd.errors import RequestError
from tfkd.recipe import Data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    fill_tinted(tmp_path / "photos", {"grass": 20, "sky": 20})
    for number in range(6):
        pixels = np.full((36, 44, 3), 40 * number, np.uint8)
        (tmp_path / "strangers").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "strangers" / f"{number}.png")
    return tmp_path


def opened(root: Path, outside: str | None, **fields: object) -> Dataset:
    return open_source(Data(source=f"folder:{root / 'photos'}", outside=outside, **fields), seed=1)


def test_they_are_apart_from_all_splits(root: Path) -> None:
    plain, data = opened(root, None), opened(root, f"folder:{root / 'strangers'}")
    assert data.outside is not None and len(data.outside) == 6 and plain.outside is None
    assert (data.fingerprint, data.labelled, data.unlabelled) == (plain.fingerprint, plain.labelled, None)
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(data, name).numbers, getattr(plain, name).numbers)
    assert data.outside.load(0).size == data.test.load(0).size
    assert data.outside.reading is data.test.reading


def test_they_are_rendered_as_the_others(root: Path) -> None:
    plain = opened(root, f"folder:{root / 'strangers'}")
    grey = rendered("grey", plain)
    assert grey.outside is not None and grey.outside.reading is grey.test.reading
    assert grey.test.reading is not plain.test.reading and len(grey.outside) == 6


def test_examples_of_the_data_are_no_strangers(root: Path) -> None:
    shutil.copy(next((root / "photos" / "grass").iterdir()), root / "strangers" / "grass.png")
    data = opened(root, f"folder:{root / 'strangers'}")
    assert data.outside is not None and len(data.outside) == 6
    assert any("1 outside example left out because the others hold the same content" in note for note in data.notes)
    kept = opened(root, f"folder:{root / 'strangers'}", drop_duplicates=False).outside
    assert kept is not None and len(kept) == 7


def test_only_known_examples_are_refused(root: Path) -> None:
    with pytest.raises(RequestError, match=r"data\.outside = .* holds no example that is not in the data"):
        opened(root, f"folder:{root / 'photos' / 'sky'}")


@pytest.mark.parametrize(
    ("outside", "message"),
    [
        (
            "rest",
            "data.outside = 'rest': unlabelled examples come from a folder, a zip, a list of texts or a table; set",
        ),
        ("tfds:mnist", "set it to folder:PATH, texts:FILE or table:FILE"),
        ("folder:nowhere", "nowhere"),
    ],
)
def test_another_source_gets_one_line(root: Path, outside: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        opened(root, outside)


def test_a_damaged_stranger_is_left_out(root: Path) -> None:
    (root / "strangers" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno image")
    data = opened(root, f"folder:{root / 'strangers'}", max_rejected=0.5)
    assert data.outside is not None and len(data.outside) == 6
    assert any(note.startswith("left out: ") and "broken.png" in note for note in data.notes)
