from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import READING
from tfkd.data import open_source, tfds
from tfkd.errors import RequestError
from tfkd.recipe import Data


def store(folder: Path, name: str, splits: dict[str, list[int]], **options: object) -> np.ndarray:
    """Writes a data set with tensorflow-datasets itself; returns the images of train."""
    import tensorflow_datasets

    features = tensorflow_datasets.features
    pixels = np.random.default_rng(0).integers(0, 256, (40, 12, 10, 3), np.uint8)
    tensorflow_datasets.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.2.0",
        features=features.FeaturesDict(
            {
                "photo": features.Image(shape=(None, None, 3), encoding_format="png"),
                "kind": features.ClassLabel(names=["zebra", "ant"]),
                "note": features.Text(),
            }
        ),
        split_datasets={
            split: [(i, {"photo": pixels[i], "kind": label, "note": ""}) for i, label in enumerate(labels)]
            for split, labels in splits.items()
        },
        data_dir=folder,
        disable_shuffling=True,
        **{"file_format": "array_record", **options},
    )
    return pixels


def test_a_stored_data_set_is_read_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    labels = [0, 1, 1, 0] * 5
    pixels = store(tmp_path, "animals", {"train": labels, "val": [1, 0], "test": [-1, -1]})
    listing = tfds.listing("animals:1.2.0", READING)
    assert listing.classes == ("zebra", "ant")  # the data set's order, not the alphabet's
    assert listing.splits.keys() == {"train", "validation"}  # the labels of test are hidden
    train = listing.splits["train"]
    assert train.labels.tolist() == labels
    for i in (7, 0, 19):
        np.testing.assert_array_equal(train.load(i), pixels[i])
    assert len(open_source(Data(source="tfds:animals"), 1).test) == 2


def test_an_older_data_set_in_tfrecords_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    pixels = store(tmp_path, "streamed", {"train": [0, 1, 1]}, file_format="tfrecord")
    train = tfds.listing("streamed", READING).splits["train"]
    assert train.labels.tolist() == [0, 1, 1]
    for i in (2, 0, 1):
        np.testing.assert_array_equal(train.load(i), pixels[i])
    file = next(tmp_path.rglob("*.tfrecord-*"))
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(RequestError, match="ends within a record"):
        tfds.listing("streamed", READING)


def test_wrong_names_and_kinds_get_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    for name, message in {
        "mnits": "Did you mean 'mnist'",
        "mnist:9.9.9": "cannot be opened.*only: 3",
        "no_such_set_anywhere": "catalog",
        "glue": "no classification data set",  # text
        "imagenet2012": "cannot be downloaded or prepared",  # its files have to be fetched by hand
    }.items():
        with pytest.raises(RequestError, match=message) as error:
            tfds.listing(name, READING)
        assert "\n" not in str(error.value)
