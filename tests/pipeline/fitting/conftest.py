"""The bench target `desk`."""

from collections.abc import Iterator

import pytest

from tests.pipeline.fitting import desk
from tfkd.benchmark import TARGETS, Target, options


@pytest.fixture(autouse=True)
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Adds the target, and forgets its earlier calls."""
    monkeypatch.setitem(TARGETS, "desk", Target("tests.pipeline.fitting.desk", options.HostOptions, "desk"))
    desk.CALLS.clear()
    desk.FAILURES.clear()
    desk.SOC[:], desk.LOAD[:] = ["desk"], [0.0]
    yield
