"""What bundles are made of here: the files that the export tests write, and those that the benchmark measures."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmark.conftest import files as files
from tests.benchmark.conftest import shipped as shipped
from tests.verification.conftest import Exported
from tests.verification.whole import write_bundle, write_photos
from tests.writers.conftest import exported as exported
from tests.writers.conftest import images as images
from tests.writers.conftest import model as model
from tfkd.verification.apart import Apart


@pytest.fixture(scope="session")
def photos(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders that the untrained network predicts correctly."""
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, exported.model)
    return folder


@pytest.fixture(scope="session")
def good(exported: Exported, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the tiny classifier, measured on the photos' test split."""
    folder = tmp_path_factory.mktemp("good") / "tiny"
    write_bundle(folder, exported, photos)
    return folder


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with Apart() as runner:
        yield runner


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "moved" / "elsewhere"))
