"""Files of vocabularies: read, and refused with one line where phones would read them otherwise."""

from pathlib import Path

import pytest

from tfkd.errors import RequestError
from tfkd.inputs.text import vocabulary
from tfkd.inputs.text.vocabulary import SPECIAL, Vocabulary, parse, read

START = "".join(f"{piece}\n" for piece in SPECIAL)


def test_a_vocabulary_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    pieces = (*SPECIAL, "a", "##a", " ", "\x85", "\u2028", "\xa0x", "é", "e\u0301", "😀")
    path.write_bytes(Vocabulary(pieces).text.encode())
    assert read(path) == Vocabulary(pieces) and len(read(path)) == 13
    assert read(path).ids["##a"] == 5


def test_line_ends_of_windows_and_a_missing_last_one_are_read() -> None:
    assert parse((START + "a\nb").replace("\n", "\r\n").encode(), "x").pieces == (*SPECIAL, "a", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x lacks [PAD], [UNK], [CLS] and [SEP]; use the vocab.txt of a BERT model"),
        (b"[PAD]\n[UNK]\na\n", "x lacks [CLS] and [SEP]; use"),
        (b"[UNK]\n[PAD]\n[CLS]\n[SEP]\n", "x has [PAD] on line 2; phones pad with id 0, so it must be first."),
        (f"{START}a\nb\na\n".encode(), "x, line 7: 'a' is on line 5 too; every id needs its own."),
        (f"{START}a\r\na\n".encode(), "x, line 6: 'a' is on line 5 too"),
        (f"{START}\nb\n".encode(), "x, line 5: is empty; phones skip empty lines"),
        (f"{START}a\n\n".encode(), "x, line 6: is empty"),
        (f"{START}\r\nb\n".encode(), "x, line 5: is empty"),
        (f"{START}a\n".encode() + b"\xffb\n", "x, line 6: is not UTF-8; save the vocabulary as UTF-8."),
        (f"\ufeff{START}".encode(), "x begins with a byte order mark; save it as UTF-8 without one."),
        (START.encode("utf-16"), "x begins with a byte order mark"),
        (f"{START}a\r\r\n".encode(), "x, line 5: holds a carriage return; end every line with a line feed alone."),
        (START.replace("\n", "\r").encode(), "x, line 1: holds a carriage return"),
        (b"\xed\xa0\x80\n", "x, line 1: is not UTF-8"),
    ],
)
def test_what_phones_read_otherwise_is_refused_in_one_line(content: bytes, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(content, "x")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_files_that_are_no_vocabulary_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vocab.txt"
    with pytest.raises(RequestError, match=r"vocab\.txt cannot be read: No such file"):
        read(path)
    path.write_bytes(START.encode() + b"a" * 100)
    monkeypatch.setattr(vocabulary, "LARGEST_FILE", 100)
    with pytest.raises(RequestError, match="is larger than 0 MiB; it is no vocabulary"):
        read(path)
    monkeypatch.setattr(vocabulary, "MOST_PIECES", 3)
    with pytest.raises(RequestError, match="has 4 lines; a vocabulary has at most 3"):
        parse(START.encode(), str(path))
