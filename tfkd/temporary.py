"""One folder for all temporary files of a command, so that nothing is left of them, whatever ends the command."""

import contextlib
import os
import shutil
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path

from tfkd.files import own_folder

_PREFIX = ".tfkd-"  # short: the paths of sockets, which are made here too, hold about 100 characters
_LAST = -200  # after the folder that multiprocessing makes in here, which it removes at priority -100


def kept_together() -> None:
    """Has temporary files of this process and its children made in one folder in $TMPDIR, removed when Python ends.

    TensorFlow's AutoGraph and Core ML Tools remove their own files when Python ends, which does not happen in a forked
    or a killed process. What killed commands left is removed here. Where no folder can be made, temporary files go
    where they went before.
    """
    with contextlib.suppress(OSError):
        place, descriptor = own_folder(Path(tempfile.gettempdir()), _PREFIX)
        place.chmod(0o700)
        os.environ["TMPDIR"] = tempfile.tempdir = str(place)
        Finalize(None, _remove, (place, descriptor), exitpriority=_LAST)  # a fork of this process does not call it


def _remove(place: Path, descriptor: int) -> None:
    os.close(descriptor)
    shutil.rmtree(place, ignore_errors=True)
