"""Runtimes of apps in environments of their own, kept in tfkd's cache folder: python -m tests.tools.runtimes

Every environment holds one version of one runtime, so that the predictions of versions and of runtimes can be compared.
MediaPipe is what Android apps load classifiers with; its absl-py is too new for tensorflow-model-optimization, so that
the two cannot share an environment.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.tools.compilers import MissingError, finish
from tfkd import files, machine
from tfkd.errors import RequestError
from tfkd.formats import families

SETUP = "python -m tests.tools.runtimes"
LIMIT = 1800  # seconds

_HERE = Path(__file__).parent


class RefusedError(Exception):
    """A runtime does not load or run a file; the text is the runtime's message."""


@dataclass(frozen=True)
class Runtime:
    """A version of a runtime.

    Attributes:
        package: on PyPI.
        version: of the package.
        script: runs in the environment; reads a JSON object from stdin.
        others: further requirements, as pip takes them.
    """

    package: str
    version: str
    script: Path
    others: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.package} {self.version}"

    @property
    def python(self) -> Path:
        """The environment's interpreter; it exists once `fetch` has run."""
        return self._folder / "bin" / "python"

    def fetch(self) -> None:
        """Makes the environment and installs the runtime into it.

        Raises:
            MissingError: the installation failed.
        """
        if self._folder.is_dir():
            return
        with files.replacing(self._folder) as partial:
            venv.create(partial, with_pip=True, symlinks=True)
            requirements = [f"{self.package}=={self.version}", *self.others]
            finish([str(partial / "bin/python"), "-m", "pip", "install", "--quiet", *requirements])

    def check(self) -> None:
        """Raises MissingError if `fetch` has not created the environment."""
        if not self.python.is_file():
            raise MissingError(f"{self.title} is not here: run `{SETUP} {self.package}`")

    def answers(self, model: Path, images: np.ndarray, own_kernels: bool = False) -> np.ndarray:
        """Runs a classifier.

        Args:
            model: its file.
            images: uint8 [n, S, S, 3] raw RGB.
            own_kernels: without XNNPACK, where the runtime lets its caller choose.

        Returns:
            float32 [n, classes] probabilities.

        Raises:
            RefusedError: the runtime does not load or run the file.
        """
        with tempfile.TemporaryDirectory() as folder:
            pixels, found = Path(folder) / "images.npy", Path(folder) / "answers.npy"
            np.save(pixels, images)
            job = {"model": str(model), "images": str(pixels), "answers": str(found), "own_kernels": own_kernels}
            self.run(job)
            answers: np.ndarray = np.load(found)
        return answers

    def run(self, job: dict[str, object]) -> str:
        """Returns what the script prints.

        Raises:
            RefusedError: it ended with an error.
        """
        command = [str(self.python), "-I", str(self.script)]
        done = subprocess.run(
            command, input=json.dumps(job), capture_output=True, text=True, timeout=LIMIT, check=False
        )
        if done.returncode != 0:
            *_, last = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise RefusedError(last)
        return done.stdout

    @property
    def _folder(self) -> Path:
        return machine.cache_folder() / self.package / self.version


_INTERPRETER = _HERE / "runtime_tflite.py"
_CLASSIFIER = _HERE / "runtime_mediapipe.py"
_SESSION = _HERE / "runtime_onnx.py"

RUNTIMES = {
    runtime.title: runtime
    for runtime in (
        Runtime("ai-edge-litert", "1.2.0", _INTERPRETER),
        Runtime("ai-edge-litert", "2.0.3", _INTERPRETER),
        Runtime("ai-edge-litert", "2.3.0", _INTERPRETER),
        Runtime("tflite-runtime", "2.14.0", _INTERPRETER, ("numpy<2",)),
        Runtime("mediapipe", "0.10.14", _CLASSIFIER, ("numpy<2",)),
        Runtime("mediapipe", "1.2.2", _CLASSIFIER),
        Runtime("onnxruntime", "1.17.3", _SESSION, ("numpy<2",)),
        Runtime("onnxruntime", "1.32.0", _SESSION),
    )
}


# Without XNNPACK's kernels for integers; their default for floats is XNNPACK.
_OLD = ("tflite-runtime 2.14.0", "mediapipe 0.10.14")
_FLOAT = ("fp32", "fp16")


def family_of(runtime: Runtime, precision: str, own_kernels: bool = False) -> str:
    """Returns the name of the runtime family that a runtime belongs to with a .tflite or .onnx file.

    Args:
        runtime: of `RUNTIMES`.
        precision: of the file.
        own_kernels: whether XNNPACK is switched off.
    """
    if runtime.package == "onnxruntime":
        return families.ONNXRUNTIME
    old = runtime.title in _OLD and precision not in _FLOAT
    return families.LITERT_KERNELS if own_kernels or old else families.XNNPACK


def ready(title: str) -> Runtime:
    """Returns a runtime whose environment exists.

    Args:
        title: a name of `RUNTIMES`.

    Raises:
        MissingError: `fetch` has not created it.
    """
    RUNTIMES[title].check()
    return RUNTIMES[title]


def classify(models: Iterable[Path], images: Iterable[Path]) -> dict[str, list[list[tuple[str, float]]]]:
    """Returns the predictions of the newest MediaPipe Tasks.

    Args:
        models: .tflite files.
        images: .png files.

    Returns:
        By name of a model's file, for every image: classes with their scores, the most probable first.

    Raises:
        MissingError: the environment does not exist.
        RefusedError: MediaPipe does not load or run a file.
    """
    job = {"models": [str(path) for path in models], "images": [str(path) for path in images]}
    answers: dict[str, list[list[tuple[str, float]]]] = json.loads(ready("mediapipe 1.2.2").run(job))
    return answers


def classify_texts(title: str, models: Iterable[Path], texts: Iterable[str]) -> list[list[dict[str, float]]]:
    """Returns the predictions of a version of MediaPipe Tasks.

    Args:
        title: of MediaPipe, a name of `RUNTIMES`.
        models: .tflite files.
        texts: without halves of surrogate pairs, which are no UTF-8.

    Returns:
        For every file and every text: scores by class, in the order of the output.

    Raises:
        MissingError: the environment does not exist.
        RefusedError: MediaPipe does not load or run a file.
    """
    runtime = replace(ready(title), script=_HERE / "runtime_mediapipe_text.py")
    found = json.loads(runtime.run({"models": [str(path) for path in models], "texts": list(texts)}))
    return [[dict(map(tuple, scores)) for scores in answers] for answers in found]


def tokens(title: str, vocabulary: str, texts: Iterable[str], length: int) -> np.ndarray:
    """Returns what a version of MediaPipe hands to a model of texts.

    Args:
        title: of MediaPipe, a name of `RUNTIMES`.
        vocabulary: the text of a vocab.txt.
        texts: without halves of surrogate pairs, which are no UTF-8.
        length: of the model's input.

    Returns:
        int [texts, 3, length]: ids, mask and segment ids.

    Raises:
        MissingError: the environment does not exist.
        RefusedError: MediaPipe does not load or run the model.
    """
    runtime = replace(ready(title), script=_HERE / "runtime_mediapipe_text.py")
    job = {"vocabulary": vocabulary, "length": length, "texts": list(texts)}
    return np.array(json.loads(runtime.run(job)))


def main() -> int:
    """Makes the environments; returns 1 if one is not available."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    packages = sorted({runtime.package for runtime in RUNTIMES.values()})
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"default: {', '.join(packages)}")
    options = parser.parse_args()
    if unknown := set(options.packages) - set(packages):
        parser.error(f"no runtime is called {min(unknown)}; known: {', '.join(packages)}")
    missing = False
    for title, runtime in RUNTIMES.items():
        if options.packages and runtime.package not in options.packages:
            continue
        try:
            runtime.fetch()
            print(f"{title} is in {runtime.python.parents[1]}.")
        except (MissingError, RequestError) as error:
            print(f"{title}: {error}", file=sys.stderr)
            missing = True
    return int(missing)


if __name__ == "__main__":
    sys.exit(main())
