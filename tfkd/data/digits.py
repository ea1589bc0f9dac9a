"""embedded:digits, the handwritten digits in scikit-learn's package: 1,797 rows of 64 numbers from 0 to 16.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998, CC BY 4.0. The file
is read as text; scikit-learn is not imported.
"""

import gzip
import importlib.util
from pathlib import Path

from tfkd.data.columns import Cells, listing_of
from tfkd.data.dataset import Listing
from tfkd.errors import RequestError
from tfkd.inputs.kind import Reading
from tfkd.inputs.table.reading import TableReading

NAME = "digits"
SIDE = 8  # cells of the grid that a digit is drawn on
_FILE = ("datasets", "data", "digits.csv.gz")


def listing(reading: Reading) -> Listing:
    """Lists the digits: columns r0c0 to r7c7, the ink in each cell of the grid, by row and column.

    Raises:
        RequestError: scikit-learn is not installed, or `data.kind` is not table.
    """
    if not isinstance(reading, TableReading):
        raise RequestError(f"embedded:{NAME} is a table, and data.kind is {reading.kind_name!r}. Set it to table.")
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise RequestError(f'embedded:{NAME} is in scikit-learn, of the extra "trees": pip install "tfkd[trees]".')
    with gzip.open(Path(package.origin).parent.joinpath(*_FILE), "rt") as stream:
        rows = [line.strip().split(",") for line in stream]
    names = [f"r{row}c{column}" for row in range(SIDE) for column in range(SIDE)]
    return listing_of(f"embedded:{NAME}", Cells([*names, reading.label], list(range(1, len(rows) + 1)), rows), reading)
