"""What a caller sees where there is no cluster."""

import sys
from pathlib import Path

import pytest

import tfkd
from tests.pipeline.test_run import RECIPE
from tfkd.errors import RequestError
from tfkd.pipeline.cluster import executor_on
from tfkd.pipeline.cluster.engine import connected
from tfkd.pipeline.executor import LocalExecutor
from tfkd.progress import Silent


def test_without_a_cluster_the_work_is_done_here(tmp_path: Path) -> None:
    with executor_on(None, tmp_path, Silent()) as executor:
        assert isinstance(executor, LocalExecutor)


def test_ray_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(RequestError, match=r"--cluster needs Ray .*; install tfkd with its extra `cluster`"),
        connected("auto", tmp_path, lambda line: None),
    ):
        pytest.fail("connected without Ray")


def test_a_function_refuses_what_is_no_cluster_before_it_works(tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text(RECIPE)
    for wrong, message in (("nowhere", "is no address of a Ray cluster"), ("127.0.0.1:1", "No Ray cluster answers")):
        with pytest.raises(RequestError, match=message) as caught:
            tfkd.run(tmp_path / "recipe.py", cluster=wrong, runs=tmp_path / "runs", progress=False)
        assert "\n" not in str(caught.value) and "--cluster" not in str(caught.value)
    with pytest.raises(RequestError, match="cluster"):
        tfkd.run(tmp_path / "recipe.py", cluster=7, runs=tmp_path / "runs")  # type: ignore[arg-type]
    assert not (tmp_path / "runs").exists()
