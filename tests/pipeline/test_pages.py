"""The report of a finished run, written again."""

from pathlib import Path

import pytest

from tests.report.conftest import build_evidence, build_manifest
from tfkd.bundle.layout import EVIDENCE, MANIFEST
from tfkd.errors import RequestError
from tfkd.files import write_json
from tfkd.pipeline import pages
from tfkd.pipeline.folders import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """The folder of a run, without its evidence."""
    folder = RunFolder(tmp_path)
    write_json(folder.bundle / MANIFEST, build_manifest().model_dump(mode="json", by_alias=True))
    return folder


def test_the_evidence_is_in_the_bundle_or_where_earlier_versions_left_it(run: RunFolder) -> None:
    content = build_evidence().model_dump(mode="json")
    write_json(run.evidence_of_before, content)
    earlier = pages.rewrite(run.path)[1].read_bytes()
    run.evidence_of_before.unlink()
    write_json(run.bundle / EVIDENCE, content)
    assert pages.rewrite(run.path)[1].read_bytes() == earlier
    assert b"data:image/png" in earlier


def test_a_run_without_evidence_is_not_finished(run: RunFolder) -> None:
    with pytest.raises(RequestError, match="not the folder of a finished run"):
        pages.rewrite(run.path)
