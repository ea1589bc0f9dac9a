"""embedded:NAME, the small data sets that ship with the package, in TFDS format."""

from pathlib import Path

from tfkd.data import digits, tfds
from tfkd.data.dataset import Listing
from tfkd.errors import RequestError, nearest
from tfkd.inputs.kind import Reading

_ROOT = Path(__file__).with_name("embedded")


def listing(name: str, reading: Reading) -> Listing:
    """Opens an embedded data set; the digits are in another package.

    Raises:
        RequestError: there is none of this name.
    """
    if name == digits.NAME:
        return digits.listing(reading)
    folders = {info.parent.parent.name: info.parent for info in sorted(_ROOT.glob("*/*/dataset_info.json"))}
    if name not in folders:
        raise RequestError(f"There is no embedded data set {name!r}.{nearest(name, [*folders, digits.NAME])}")
    return tfds.listing_of_folder(f"embedded:{name}", folders[name], reading)
