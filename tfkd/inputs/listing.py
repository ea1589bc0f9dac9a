"""Examples in memory that are written as a table, for sources that read one."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tfkd.files import write_bytes


def write_listing(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows with every field quoted, so that commas and line breaks stay; makes the folder where it is missing.

    Raises:
        RequestError: the file cannot be written.
    """
    table = io.StringIO(newline="")
    csv.writer(table, quoting=csv.QUOTE_ALL).writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, table.getvalue().encode())
