"""Two splits as one."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.photos import READING
from tfkd.data.folder import unlabelled
from tfkd.data.joined import joined


def test_photos_and_labels_are_those_of_the_first_split_and_then_of_the_second(tmp_path: Path) -> None:
    for name, level in (("a", 10), ("b", 20)):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (4, 4), (level + number,) * 3).save(tmp_path / name / f"{number}.png")
    first, second = unlabelled(str(tmp_path / "a"), READING), unlabelled(str(tmp_path / "b"), READING)
    both = joined(first.take(np.array([1])), second)
    assert [both.load(i).getpixel((0, 0))[0] for i in range(len(both))] == [11, 20, 21]
    assert both.labels.tolist() == [-1, -1, -1]
    assert both.name(1).endswith("0.png")
