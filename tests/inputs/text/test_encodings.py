"""Encodings of text files."""

import pytest

from tfkd.inputs.kind import ExampleError
from tfkd.inputs.text.encodings import decode

FRENCH = "Où est ma carte bancaire ? Je l'ai commandée là-bas à Noël.\n"
RUSSIAN = "Привет, где моя карта?\n"
JAPANESE = "カードはまだ届きません。いつ届きますか\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_stated_encoding_is_no_guess(encoding: str) -> None:
    found = decode(FRENCH.encode(encoding))
    assert found.text == FRENCH and not found.is_guessed


@pytest.mark.parametrize(
    ("text", "encoding"), [(FRENCH, "cp1252"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8_r"), (JAPANESE, "cp932")]
)
def test_other_encodings_are_found_and_called_guesses(text: str, encoding: str) -> None:
    found = decode(text.encode(encoding))
    assert (found.text, found.encoding, found.is_guessed) == (text, encoding, True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "zero bytes"),
        (b"a\ncaf\xc3\xa9\ncaf\xe9 noir\n", "line 3 is not in UTF-8, other lines are"),
        (b"\xff\xfea\0b", "is damaged: not UTF-16"),
        ("text,label\n".encode("utf-16-le"), "line 1 holds a zero byte; if the file is UTF-16, save it as UTF-8"),
        ("où\n".encode("utf-16-le"), "holds zero bytes; if it is UTF-16"),
        (b"a\nb\0c\n", "line 2 holds a zero byte"),
    ],
)
def test_what_is_no_text_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ExampleError, match=message):
        decode(content)
