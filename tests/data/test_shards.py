"""shards:PATH: tar files of samples, as WebDataset writes them."""

import io
import json
import pickle
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import encoded, picture
from tfkd.data import Dataset, Split, open_source, open_unlabelled, shards
from tfkd.errors import RequestError
from tfkd.recipe import Data


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path: Path, files: Sequence[tuple[str, bytes]], mode: str = "w", pax: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def photo(seed: int) -> bytes:
    return encoded(picture(seed), "JPEG")


def samples(count: int, labels: Sequence[str], start: int = 0) -> list[tuple[str, bytes]]:
    """Returns photos with a .cls file each; the labels in turn."""
    found = []
    for number in range(start, start + count):
        found.append((f"{number:06}.jpg", photo(number)))
        found.append((f"{number:06}.cls", labels[number % len(labels)].encode()))
    return found


def opened(path: object, **fields: object) -> Dataset:
    return open_source(Data(source=f"shards:{path}", **fields), 1)


def names(split: Split) -> list[str]:
    return [split.name(i) for i in range(len(split))]


def test_splits_come_from_the_names_of_the_files(tmp_path: Path) -> None:
    write(tmp_path / "s/photos-train-000000.tar", samples(12, ["cat", "dog"]))
    write(tmp_path / "s/photos-train-000001.tar", samples(8, ["cat", "dog"], 12))
    write(tmp_path / "s/photos-val-000000.tar", samples(4, ["dog", "cat"], 20))
    write(tmp_path / "s/photos-test-000000.tar", samples(6, ["cat", "dog"], 30))
    data = opened(tmp_path / "s")
    assert data.classes == ("cat", "dog")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [20, 4, 6]
    assert names(data.validation)[0] == "photos-val-000000.tar/000020.jpg"
    for split, first in ((data.train, 0), (data.validation, 20), (data.test, 30)):
        for i in range(len(split)):
            assert split.encoded(i) == photo(first + i)
    assert data.train.labels.tolist() == [0, 1] * 10 and data.validation.labels.tolist() == [1, 0] * 2
    pattern = opened(tmp_path / "s/photos-*.tar")
    assert pattern.fingerprint != data.fingerprint or pattern.train.labels.tolist() == data.train.labels.tolist()
    with pytest.raises(RequestError, match="has class 'dog', which train has not"):
        write(tmp_path / "t/train.tar", samples(4, ["cat", "cow"]))
        write(tmp_path / "t/test.tar", samples(4, ["cat", "dog"], 9))
        opened(tmp_path / "t")


def test_folders_name_splits_and_files_without_one_are_divided(tmp_path: Path) -> None:
    write(tmp_path / "a/train/0.tar", samples(20, ["x", "y"]))
    write(tmp_path / "a/test/0.tar", samples(10, ["x", "y"], 20))
    data = opened(tmp_path / "a")
    assert len(data.test) == 10 and len(data.train) + len(data.validation) == 20
    write(tmp_path / "b/0.tar", samples(40, ["x", "y"]))
    data = opened(tmp_path / "b/*.tar")
    assert len(data.train) + len(data.validation) + len(data.test) == 40 and len(data.test)
    write(tmp_path / "a/more/0.tar", samples(2, ["x", "y"], 50))
    with pytest.raises(RequestError, match="the name says no split, of others it does"):
        opened(tmp_path / "a")


def test_labels_that_are_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", samples(60, [str(number) for number in range(12)]))
    assert opened(tmp_path).classes == tuple(str(number) for number in range(12))


def facts(number: int, **values: object) -> list[tuple[str, bytes]]:
    return [(f"d/{number}.x.jpg", photo(number)), (f"d/{number}.json", json.dumps(values).encode())]


def test_json_holds_label_and_group(tmp_path: Path) -> None:
    rows = [row for n in range(40) for row in facts(n, label=n % 2, group=f"p{n // 4}", caption="a photo")]
    write(tmp_path / "0.tar", rows)
    data = opened(tmp_path)
    assert data.classes == ("0", "1")
    of_split = [
        {int(split.name(i).split("/")[-1].split(".")[0]) // 4 for i in range(len(split))}
        for split in (data.train, data.validation, data.test)
    ]
    assert all(of_split) and not of_split[0] & of_split[1] and not of_split[0] & of_split[2]


def test_long_and_foreign_names_of_both_formats_come_back(tmp_path: Path) -> None:
    long = "ordner/" + "sehr-langer-name-" * 12
    for pax in (True, False):
        files = [(f"{long}{n}-é-日本.jpg", photo(n)) for n in range(20)]
        files += [(f"{long}{n}-é-日本.cls", b"ab"[n % 2 : n % 2 + 1]) for n in range(20)]  # labels after all photos
        write(tmp_path / f"{pax}/0.tar", files, pax=pax)
        data = opened(tmp_path / str(pax), drop_duplicates=False)
        found = sorted(name for split in (data.train, data.validation, data.test) for name in names(split))
        assert found == sorted(f"0.tar/{name}" for name, _ in files[:20])


def test_what_belongs_to_no_example_is_noted(tmp_path: Path) -> None:
    files = [*samples(20, ["x", "y"]), ("README.md", b"hello"), ("999.cls", b"x"), (".hidden/1.jpg", photo(1))]
    write(tmp_path / "0.tar", files)
    assert "2 files in the tars belong to no example" in opened(tmp_path).notes


def test_photos_without_labels_are_unlabelled_examples(tmp_path: Path) -> None:
    write(tmp_path / "labelled/0.tar", samples(30, ["x", "y"]))
    write(tmp_path / "others/0.tar", [(f"{n}.jpg", photo(n)) for n in range(100, 110)])
    source = f"shards:{tmp_path}/others"
    assert len(open_unlabelled(source, Data(source=f"shards:{tmp_path}/labelled"))) == 10
    data = opened(tmp_path / "labelled", unlabelled=source)
    assert data.unlabelled is not None and len(data.unlabelled) == 10 and (data.unlabelled.labels == -1).all()
    with pytest.raises(RequestError, match=r"10 of 10 examples in .* have no label, such as 0.tar/100.jpg"):
        opened(tmp_path / "others")


def test_a_damaged_photo_is_left_out_and_a_changed_file_is_noticed(tmp_path: Path) -> None:
    files = [*samples(30, ["x", "y"])]
    files[0] = (files[0][0], b"no photo")
    path = write(tmp_path / "0.tar", files)
    data = opened(tmp_path, max_rejected=0.1)
    (rejected,) = data.rejected
    assert rejected.startswith("0.tar/000000.jpg")
    data.require_unchanged()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(RequestError, match="can no longer be read"):
        data.require_unchanged()


WRONG: Mapping[str, tuple[list[tuple[str, bytes]], str]] = {
    "empty": ([], "1 tar file, such as .*, without an example"),
    "two photos": ([("1.jpg", photo(1)), ("1.png", photo(2)), ("1.cls", b"x")], "1.jpg and 1.png are one sample"),
    "two labels": (
        [("1.jpg", photo(1)), ("1.cls", b"x"), ("1.json", b'{"label": "y"}')],
        "label is 'y', elsewhere 'x'",
    ),
    "no label": ([("1.jpg", photo(1)), ("1.json", b'{"caption": "y"}')], "1 of 1 examples in .* have no label"),
    "empty label": ([("1.jpg", photo(1)), ("1.cls", b" \n")], "label is ''. Write a name or a number"),
    "a list": ([("1.jpg", photo(1)), ("1.json", b'["x"]')], "holds no object"),
    "a list as label": ([("1.jpg", photo(1)), ("1.json", b'{"label": [1]}')], r"label is \[1\]"),
    "a bool": ([("1.jpg", photo(1)), ("1.json", b'{"label": true}')], "label is True"),
    "a double key": ([("1.jpg", photo(1)), ("1.json", b'{"label": 1, "label": 2}')], "1.json cannot be read"),
    "no JSON": ([("1.jpg", photo(1)), ("1.json", b"{")], "1.json cannot be read .is not JSON"),
    "no UTF-8": ([("1.jpg", photo(1)), ("1.cls", b"\xff\xfe")], "1.cls cannot be read"),
    "a huge label": ([("1.jpg", photo(1)), ("1.cls", b"x" * 70_000)], "holds 70,000 bytes, too many for a label"),
    "one class": (samples(10, ["x"]), "classes|class"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_tar_is_named(tmp_path: Path, case: str) -> None:
    files, message = WRONG[case]
    write(tmp_path / "0.tar", files)
    with pytest.raises(RequestError, match=message) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_tars_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="names no tar files"):
        opened(tmp_path / "nothing")
    with pytest.raises(RequestError, match="names no tar files"):
        opened(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(RequestError, match=r"names a\.zip, which is no \.tar"):
        opened(tmp_path / "*.zip")
    (tmp_path / "a.tar").write_bytes(b"not a tar" * 100)
    with pytest.raises(RequestError, match=r"a\.tar (is no readable tar file|has been cut short)"):
        opened(tmp_path / "a.tar")
    write(tmp_path / "b.tar", samples(10, ["x", "y"]), "w:gz")
    with pytest.raises(RequestError, match=r"b\.tar (is no readable tar file .* uncompressed|has been cut short)"):
        opened(tmp_path / "b.tar")
    whole = write(tmp_path / "c.tar", samples(10, ["x", "y"])).read_bytes()
    for length in (2_000, 2_048, 1_024, 700):
        (tmp_path / "c.tar").write_bytes(whole[:length])
        with pytest.raises(RequestError, match=r"c\.tar has been cut short"):
            opened(tmp_path / "c.tar")


def test_links_in_a_tar_lead_nowhere(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name, content in samples(20, ["x", "y"]):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE)):
            link = tarfile.TarInfo(f"90{number}.jpg")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    data = opened(tmp_path)
    assert len(data.train) + len(data.validation) + len(data.test) == 20


def test_what_was_read_is_kept_until_a_file_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "0.tar", samples(20, ["x", "y"]))
    first = opened(tmp_path)
    (kept,) = (cache / "tfkd/shards").iterdir()
    monkeypatch.setattr(shards, "_members", lambda file: pytest.fail("read again"))
    again = opened(tmp_path)
    assert again.fingerprint == first.fingerprint and np.array_equal(again.train.labels, first.train.labels)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    kept.write_bytes(kept.read_bytes()[:100])
    assert opened(tmp_path).fingerprint == first.fingerprint
    write(path, samples(20, ["x", "z"]))
    assert opened(tmp_path).classes == ("x", "z")


def test_examples_are_read_in_other_processes(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", samples(10, ["x", "y"]))
    write(tmp_path / "1.tar", samples(10, ["x", "y"], 10))
    data = opened(tmp_path)
    other: Dataset = pickle.loads(pickle.dumps(data))  # noqa: S301
    assert [other.train.encoded(i) for i in range(len(other.train))] == [
        data.train.encoded(i) for i in range(len(data.train))
    ]
