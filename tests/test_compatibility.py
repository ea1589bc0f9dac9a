"""Bundles and stores that earlier versions made (tests/fixtures/VERSION) are read by this one."""

from pathlib import Path

import numpy as np
import pytest

from tfkd.bundle.manifest import Manifest
from tfkd.bundle.verification import verify
from tfkd.store.soft_labels import SoftLabels

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = sorted(folder.name for folder in FIXTURES.iterdir() if folder.is_dir())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bundle_of_an_earlier_version_is_read_and_verified(version: str) -> None:
    folder = FIXTURES / version / "bundle"
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    failed = [check for check in verify(folder) if not check.passed]
    assert (manifest.tfkd_version, failed) == (version, [])


def test_a_store_of_0_1_0_gives_the_logits_that_were_written() -> None:
    folder = FIXTURES / "0.1.0" / "soft_labels"
    header = {
        "fingerprint": "9d46f062d598c432",
        "images": 270,
        "views": 2,
        "layout": {"classes": 10, "top": None, "features": {"pooled": [64]}},
    }
    store = SoftLabels(folder, header)
    store.verify()
    row = store.read(np.array([269]), 1)
    expected = [
        [
            1.9775390625,
            -0.6025390625,
            3.001953125,
            1.7998046875,
            2.970703125,
            -3.107421875,
            2.80859375,
            -1.751953125,
            -0.350341796875,
            -0.625,
        ]
    ]
    assert row["logits"].tolist() == expected
    assert row["pooled"].shape == (1, 64)
