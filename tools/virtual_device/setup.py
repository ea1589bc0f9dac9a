"""Assembles the packages of the virtual Android device: python tools/virtual_device/setup.py

Downloads adb, adbd, mksh and toybox, pinned by hash in packages.lock, and unpacks them into one folder of 40 MB:
$TFKD_VIRTUAL_DEVICE, or virtual_device in tfkd's cache folder. It needs no root rights, and installs nothing outside.
The device runs aarch64 programs with the QEMU of the ARM64 root: run tools/arm64/setup.py too.
"""

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

from run import PACKAGES, READY, folder

from tfkd import files
from tfkd.errors import TfkdError

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Parses, assembles, and prints one line."""
    arm64 = _arm64()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", default=arm64.MIRROR, help="Debian mirror with pool/ (default: %(default)s)")
    mirror = parser.parse_args().mirror
    try:
        print(assemble(folder(), mirror, arm64))
    except TfkdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def assemble(place: Path, mirror: str, arm64: Any) -> str:
    """Unpacks the packages, all or none, and returns a line for the user.

    Raises:
        RequestError: the machine lacks something, or a step failed.
    """
    arm64.checked_machine()
    lock = PACKAGES.read_text(encoding="utf-8")
    if (place / READY).is_file() and (place / READY).read_text(encoding="utf-8") == files.fingerprint(lock):
        return f"{place} is up to date."
    with files.replacing(place) as partial:
        partial.mkdir()
        arm64.unpack(list(arm64.pinned(lock)), mirror, partial)
        (partial / READY).write_text(files.fingerprint(lock), encoding="utf-8")
    return f"{place} is ready."


def _arm64() -> Any:
    """Returns the module that sets up the ARM64 root, for its download of pinned packages."""
    path = HERE.parent / "arm64" / "setup.py"
    spec = importlib.util.spec_from_file_location("arm64_setup", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
