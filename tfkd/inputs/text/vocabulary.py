"""Vocabularies of word pieces, and the files vocab.txt that hold them: one piece per line, in the order of the ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tfkd.errors import RequestError, counted, enumerated

VOCABULARY = "vocab.txt"  # in folders of BERT models and in .tflite files

PADDING, UNKNOWN, CLASSIFIER, SEPARATOR = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
SPECIAL = (PADDING, UNKNOWN, CLASSIFIER, SEPARATOR)
CONTINUATION = "##"  # begins a piece that continues a word

LARGEST_FILE = 1 << 24  # bytes
MOST_PIECES = 500_000

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Vocabulary:
    """The pieces of words that a model knows.

    Attributes:
        pieces: in the order of their ids; all of `SPECIAL`, `PADDING` first, no piece twice, none empty.
    """

    pieces: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Ids by piece."""
        return {piece: number for number, piece in enumerate(self.pieces)}

    @property
    def text(self) -> str:
        """The content of vocab.txt."""
        return "".join(f"{piece}\n" for piece in self.pieces)


def read(path: Path) -> Vocabulary:
    """Reads a vocab.txt.

    Raises:
        RequestError: the file cannot be read or holds no vocabulary that phones read alike.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise RequestError(f"The vocabulary {path} cannot be read: {error.strerror}.") from None
    return parse(content, str(path))


def parse(content: bytes, name: str) -> Vocabulary:
    """Returns the vocabulary of a vocab.txt.

    MediaPipe skips empty lines, takes the last of equal ones and pads with id 0; other libraries do not. Files on which
    they differ are refused.

    Args:
        content: of the file; line ends of Windows are read too.
        name: of the file in messages.

    Raises:
        RequestError: the content is too large or is not UTF-8, a line is empty or occurs twice, or a special piece is
            missing or is not where phones expect it.
    """
    if len(content) > LARGEST_FILE:
        raise RequestError(f"{name} is larger than {LARGEST_FILE >> 20} MiB; it is no vocabulary of word pieces.")
    if content.startswith(_BYTE_ORDER_MARKS):
        raise RequestError(f"{name} begins with a byte order mark; save it as UTF-8 without one.")
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    if len(lines) > MOST_PIECES:
        raise RequestError(f"{name} has {counted(len(lines), 'line')}; a vocabulary has at most {MOST_PIECES:,}.")
    first: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        piece = _piece(line, f"{name}, line {number}")
        if piece in first:
            raise RequestError(
                f"{name}, line {number}: {piece!r} is on line {first[piece]} too; every id needs its own."
            )
        first[piece] = number
    _require_special(first, name)
    return Vocabulary(tuple(first))


def _piece(line: bytes, where: str) -> str:
    try:
        piece = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise RequestError(f"{where}: is not UTF-8; save the vocabulary as UTF-8.") from None
    if not piece:
        raise RequestError(f"{where}: is empty; phones skip empty lines, so that every later id would be wrong.")
    if "\r" in piece:
        raise RequestError(f"{where}: holds a carriage return; end every line with a line feed alone.")
    return piece


def _require_special(lines: Mapping[str, int], name: str) -> None:
    missing = [piece for piece in SPECIAL if piece not in lines]
    if missing:
        raise RequestError(
            f"{name} lacks {enumerated(missing)}; use the vocab.txt of a BERT model, one piece per line."
        )
    if lines[PADDING] != 1:
        raise RequestError(f"{name} has {PADDING} on line {lines[PADDING]}; phones pad with id 0, so it must be first.")
