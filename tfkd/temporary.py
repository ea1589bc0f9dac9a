"""One folder for all temporary files of a command, which is removed however the command ends."""

import contextlib
import os
import shutil
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path

from tfkd.files import own_folder

_PREFIX = ".tfkd-"  # short, because the path of a socket in this folder may have about 100 characters
_LAST = -200  # after multiprocessing has removed its folder in here, at priority -100


def kept_together() -> None:
    """Creates one folder in $TMPDIR for the temporary files of this process and its children, removed at exit.

    TensorFlow's AutoGraph and Core ML Tools remove their files when Python exits, which does not happen in a forked or
    killed process. Leftovers of killed commands are removed here. If the folder cannot be created, nothing changes.
    """
    with contextlib.suppress(OSError):
        place, descriptor = own_folder(Path(tempfile.gettempdir()), _PREFIX)
        place.chmod(0o700)
        os.environ["TMPDIR"] = tempfile.tempdir = str(place)
        Finalize(None, _remove, (place, descriptor), exitpriority=_LAST)  # forks of this process do not call it


def _remove(place: Path, descriptor: int) -> None:
    os.close(descriptor)
    shutil.rmtree(place, ignore_errors=True)
