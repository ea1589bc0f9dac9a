"""tfds:NAME[/CONFIG][:VERSION], any classification data set of tensorflow-datasets.

It is looked for, and stored, under TFDS_DATA_DIR (default ~/tensorflow_datasets).
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.data.dataset import Listing, Split
from tfkd.data.tfrecord import open_records
from tfkd.errors import RequestError, nearest
from tfkd.inputs import KINDS, kind_of
from tfkd.inputs.kind import ExampleError, Reading, one_line

_SPLITS = {
    "train": ("train",),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class _Records:
    """The examples of one split of a prepared data set, still encoded."""

    source: Any
    example: str
    label: str
    where: str
    stamp: str

    def __len__(self) -> int:
        return len(self.source)

    def touched(self) -> bool:
        return False

    def name(self, number: int) -> str:
        return f"{self.where}[{number}]"

    def read(self, number: int) -> bytes:
        try:
            return bytes(self.source[number][self.example])
        except Exception as error:  # array_record and the feature decoders raise kinds of their own
            raise ExampleError(one_line(error)) from None

    def labels(self) -> np.ndarray:
        """Returns int64 [n]; reads every record once."""
        return np.fromiter(self._each_label(), np.int64, len(self.source))

    def _each_label(self) -> Iterator[int]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(self.source), _CHUNK):
                numbers = range(start, min(start + _CHUNK, len(self.source)))
                yield from pool.map(lambda number: int(self.source[number][self.label]), numbers)


def listing(name: str, reading: Reading) -> Listing:
    """Opens a data set by its TFDS name, after downloading and preparing it if it is not there yet.

    Raises:
        RequestError: the name is unknown, the download fails, or it has no examples of this kind with one label each.
    """
    where = f"tfds:{name}"
    builder = _builder(name)
    features = _features(where, builder.info.features, reading)  # known before anything is downloaded
    _prepare(where, builder)
    return _listing(where, builder, features, reading)


def listing_of_folder(where: str, folder: Path, reading: Reading) -> Listing:
    """Opens a prepared data set in a folder (the one with its dataset_info.json).

    Raises:
        RequestError: it has no examples of this kind with one label each.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    return _listing(where, builder, _features(where, builder.info.features, reading), reading)


def _builder(name: str) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
    except tfds.core.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        raise RequestError(f"tensorflow-datasets knows no {name!r}.{_suggestion(name, known)}") from None
    except Exception as error:  # a builder may raise anything
        raise RequestError(f"tfds:{name} cannot be opened: {one_line(error)}") from None


def _prepare(where: str, builder: Any) -> None:
    try:
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # a builder may raise anything
        raise RequestError(
            f"{where} cannot be downloaded or prepared under {builder.data_dir} ({one_line(error)}). Connect to the "
            "internet, or set TFDS_DATA_DIR to a folder that holds it."
        ) from None


def _suggestion(name: str, known: list[str]) -> str:
    suggestion = nearest(name.split("/")[0].split(":")[0], known)
    return suggestion if "Did you mean" in suggestion else " See https://www.tensorflow.org/datasets/catalog."


def _listing(where: str, builder: Any, features: tuple[str, str], reading: Reading) -> Listing:
    splits: dict[str, Split] = {}
    for name, spellings in _SPLITS.items():
        for spelling in spellings:
            if spelling in builder.info.splits and builder.info.splits[spelling].num_examples:
                split = _split(where, builder, spelling, features, reading)
                if (split.labels >= 0).all():  # some test splits come with hidden labels, all -1
                    splits[name] = split
    return Listing(where, tuple(builder.info.features[features[1]].names), splits)


def _split(where: str, builder: Any, name: str, features: tuple[str, str], reading: Reading) -> Split:
    example, label = features
    source = _random_access(where, builder, name, example)
    info = builder.info
    stamp = f"{info.full_name} {name} {info.splits[name].num_examples} {info.splits[name].num_bytes}"
    records = _Records(source, example, label, f"{where} {name}", stamp)
    return Split(records, np.arange(len(source)), records.labels(), reading)


def _random_access(where: str, builder: Any, name: str, example: str) -> Any:
    from tensorflow_datasets import decode

    decoders = {example: decode.SkipDecoding()}
    try:
        if builder.info.file_format.value == "tfrecord":
            files = [Path(file) for file in builder.info.splits[name].filepaths]
            return open_records(files, partial(builder.info.features.deserialize_example_np, decoders=decoders))
        return builder.as_data_source(split=name, decoders=decoders)
    except Exception as error:  # a missing file, a format without random access, ...
        raise RequestError(
            f"{where} cannot be read from {builder.data_dir} ({one_line(error)}). Remove that folder, so that it is "
            "prepared again."
        ) from None


def _features(where: str, features: Any, reading: Reading) -> tuple[str, str]:
    """Returns the names of the one example and the one label in each record of a data set."""
    import tensorflow_datasets as tfds

    found = []
    for kind, usual in (kind_of(reading.kind_name).feature, ("ClassLabel", "label")):
        names = [name for name, feature in features.items() if type(feature) is getattr(tfds.features, kind)]
        if usual not in names and len(names) != 1:
            raise RequestError(
                f"{where} is no classification data set: {len(names)} features of kind {kind} "
                f"(it has {', '.join(features)}). {_advice(features, reading.kind_name)}"
            )
        found.append(usual if usual in names else names[0])
    return found[0], found[1]


def _advice(features: Any, kind: str) -> str:
    classes = [type(feature).__name__ for feature in features.values()]
    others = [name for name in KINDS if name != kind and kind_of(name).feature[0] in classes]
    if kind_of(kind).feature[0] not in classes and others:
        return f"Set data.kind={others[0]}."
    return f"Choose a data set with one {kind} and one label."
