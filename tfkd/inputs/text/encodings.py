"""The encoding of text files: UTF-8, UTF-16 or UTF-32 with a byte order mark, or what the bytes look like."""

import codecs
from dataclasses import dataclass

from tfkd.inputs.kind import ExampleError

UTF_8 = "UTF-8"

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF8: "UTF-8-SIG",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


# Of Windows, for western, central and eastern Europe, Greek, Turkish, Japanese, Chinese and Korean; the first of equals
# is taken.
_CODE_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "euc_kr", "big5", "koi8_r")


@dataclass(frozen=True)
class Decoded:
    """The text of a file.

    Attributes:
        text: without a byte order mark.
        encoding: a name that Python knows.
    """

    text: str
    encoding: str

    @property
    def is_guessed(self) -> bool:
        """Whether nothing in the file states its encoding."""
        return self.encoding not in (UTF_8, *_MARKS.values())


def decode(content: bytes) -> Decoded:
    """Decodes a file.

    Raises:
        ExampleError: it is no text, or parts of it are in different encodings.
    """
    found = _read(content)
    if "\0" in found.text:  # UTF-16 without its mark is ASCII with zero bytes, at which phones end a text
        line = found.text.count("\n", 0, found.text.index("\0")) + 1
        raise ExampleError(f"line {line} holds a zero byte; if the file is UTF-16, save it as UTF-8")
    return found


def _read(content: bytes) -> Decoded:
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return Decoded(_decoded(content, encoding), UTF_8 if encoding == "UTF-8-SIG" else encoding)
    try:
        return Decoded(content.decode(), UTF_8)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    if b"\0" in content:
        raise ExampleError("is no text: it holds zero bytes; if it is UTF-16, save it as UTF-8")
    if _has_wide_utf_8(content):
        raise ExampleError(f"line {line} is not in UTF-8, other lines are; save all of it as UTF-8")
    return _guessed(content)


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ExampleError(f"is damaged: not {encoding} from byte {error.start}, which it begins as") from None


def _has_wide_utf_8(content: bytes) -> bool:
    """Returns whether a line has characters beyond ASCII, in UTF-8."""
    for line in content.split(b"\n"):
        if not line.isascii():
            try:
                line.decode()
            except UnicodeDecodeError:
                continue
            return True
    return False


def _guessed(content: bytes) -> Decoded:
    from charset_normalizer import from_bytes

    found = list(from_bytes(content, cp_isolation=list(_CODE_PAGES)))
    if not found:
        raise ExampleError("is no text in an encoding that is known; save it as UTF-8")
    likely = [each for each in found if (each.chaos, each.coherence) == (found[0].chaos, found[0].coherence)]
    chosen = min(likely, key=lambda each: _CODE_PAGES.index(each.encoding))
    return Decoded(str(chosen), chosen.encoding)
