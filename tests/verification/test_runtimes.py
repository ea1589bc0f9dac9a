"""Every version of every runtime, in an environment of its own, gives the golden predictions of its family."""

from pathlib import Path

import numpy as np
import pytest

from tests.tools.compilers import MissingError
from tests.tools.runtimes import RUNTIMES, RefusedError, family_of
from tests.verification.conftest import Exported
from tfkd.bundle import golden, golden_answers
from tfkd.bundle.golden import Golden
from tfkd.files import content_digest, content_size
from tfkd.verification import tflite
from tfkd.verification.records import Artifact

pytestmark = pytest.mark.slow

IMAGES = 8
CASES = [
    (title, own_kernels)
    for title, runtime in RUNTIMES.items()
    if runtime.package != "onnxruntime"
    for own_kernels in (False, True)
    if not own_kernels or runtime.package in ("ai-edge-litert", "tflite-runtime")
]


@pytest.fixture(scope="module")
def files(exported: Exported) -> list[Artifact]:
    return [artifact(exported.folder, each.path, each.precision) for each in exported.files if each.format == "tflite"]


@pytest.fixture(scope="module")
def stored(exported: Exported, files: list[Artifact]) -> Golden:
    labels = np.full(IMAGES, -1)
    return golden.collect(exported.folder, files, exported.images[:IMAGES], labels, exported.probabilities[:IMAGES])


def artifact(folder: Path, path: str, precision: str) -> Artifact:
    io = tflite.io(folder / path)
    runtime = tflite.min_runtime(folder / path)
    size, digest = content_size(folder / path), content_digest(folder / path)
    described = {"path": path, "format": "tflite", "precision": precision, "bytes": size, "sha256": digest}
    return Artifact(**described, io=io, min_runtime=runtime)


@pytest.mark.parametrize(("title", "own_kernels"), CASES)
def test_a_runtime_matches_the_golden_predictions_of_its_family(
    title: str, own_kernels: bool, exported: Exported, files: list[Artifact], stored: Golden
) -> None:
    runtime = RUNTIMES[title]
    try:
        runtime.check()
    except MissingError as error:
        pytest.skip(str(error))
    assert len(files) == 4
    for file in files:
        family = family_of(runtime, file.precision, own_kernels)
        expected = {family: golden_answers.answers_of(stored, file)[family]}
        try:
            answers = runtime.answers(exported.folder / file.path, stored.images, own_kernels)
        except RefusedError:
            assert title == "tflite-runtime 2.14.0" and newer(file.min_runtime, "2.14"), file.path
            continue
        assert not newer(file.min_runtime, "2.14") or title != "tflite-runtime 2.14.0"
        allowed = {family: golden_answers.tolerance(file, family)}
        found = golden_answers.compare(answers, expected, allowed, file.io.output.scale)
        assert found.passed, (file.path, found)


def newer(stated: str | None, version: str) -> bool:
    """Whether a file needs a newer TensorFlow Lite than a version."""
    assert stated is not None
    first, second = (tuple(map(int, text.split("."))) for text in (stated.split()[-1], version))
    return first[:2] > second[:2]
