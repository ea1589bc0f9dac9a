"""The address of a cluster, and the loss of its head."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfkd.errors import MachineError, RequestError
from tfkd.pipeline.cluster import head
from tfkd.pipeline.cluster.head import HeadWatch, address_of, require_head


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A server that is no cluster: it takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize(
    "wrong", ["nonsense", "host:", ":1", "host:70000", "ray://host:10001", "a b:1", "", "host:1/x"]
)
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(RequestError, match="is no address of a Ray cluster; give host:port, or auto"):
        address_of(wrong)


def test_an_address_is_taken_as_it_is() -> None:
    assert address_of("node-1.example:6379") == "node-1.example:6379"


def test_auto_is_the_cluster_that_this_machine_is_a_node_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(RequestError, match=r"no node of a Ray cluster\. Start one with ray start --head"):
        address_of("auto")
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/ray_current_cluster").write_text("10.0.0.1:6379")
    assert address_of("auto") == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6380")
    assert address_of("auto") == "10.0.0.2:6380"


def test_an_address_where_no_cluster_answers_is_refused(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_CONNECT", 1.0)
    for port in (listening.getsockname()[1], 1):
        with pytest.raises(RequestError, match=f"No Ray cluster answers at 127.0.0.1:{port}"):
            require_head(f"127.0.0.1:{port}")


def test_a_head_that_is_lost_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_BETWEEN", 0.05)
    monkeypatch.setattr(head, "_SILENT", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch = HeadWatch(f"127.0.0.1:{server.getsockname()[1]}")
        _look_for(watch, 0.6)
    with pytest.raises(MachineError, match="run the same command: it continues"):
        _look_for(watch, 2.0)


def _look_for(watch: HeadWatch, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        watch.require_answer()
        time.sleep(0.02)
