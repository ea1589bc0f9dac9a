"""MediaPipe in an environment of its own, kept in tfkd's cache folder: python -m tests.tools.mediapipe_env

It is what Android apps load classifiers with. Its absl-py is too new for tensorflow-model-optimization, so that the two
cannot share an environment.
"""

import json
import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.tools.compilers import MissingError, finish
from tfkd import files, machine
from tfkd.errors import RequestError

SETUP = "python -m tests.tools.mediapipe_env"
VERSION = "1.2.2"
CLASSIFY = Path(__file__).with_name("mediapipe_classify.py")
LIMIT = 1800  # seconds


@dataclass(frozen=True)
class MediaPipe:
    """The environment's interpreter."""

    python: Path

    def classify(self, models: Iterable[Path], images: Iterable[Path]) -> dict[str, list[list[tuple[str, float]]]]:
        """Returns what MediaPipe Tasks answers.

        Args:
            models: .tflite files.
            images: .png files.

        Returns:
            By name of a model's file, for every image: classes with their scores, the most probable first.
        """
        asked = json.dumps({"models": [str(path) for path in models], "images": [str(path) for path in images]})
        command = [str(self.python), "-I", str(CLASSIFY)]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=LIMIT, check=False)
        if done.returncode != 0:
            raise AssertionError(f"MediaPipe ended with code {done.returncode}: {done.stderr[-2000:]}")
        answers: dict[str, list[list[tuple[str, float]]]] = json.loads(done.stdout)
        return answers


def mediapipe() -> MediaPipe:
    """Returns the environment that `fetch` has made.

    Raises:
        MissingError: it has not.
    """
    python = _folder() / "bin" / "python"
    if not python.is_file():
        raise MissingError(f"no MediaPipe here: run `{SETUP}`")
    return MediaPipe(python)


def fetch() -> None:
    """Makes the environment and installs MediaPipe into it.

    Raises:
        MissingError: the installation failed.
    """
    folder = _folder()
    if folder.is_dir():
        return
    with files.replacing(folder) as partial:
        venv.create(partial, with_pip=True, symlinks=True)
        finish([str(partial / "bin/python"), "-m", "pip", "install", "--quiet", f"mediapipe=={VERSION}"])


def _folder() -> Path:
    return machine.cache_folder() / "mediapipe" / VERSION


def main() -> int:
    """Makes the environment; returns 1 where it cannot be had."""
    try:
        fetch()
    except (MissingError, RequestError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"MediaPipe is in {_folder()}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
