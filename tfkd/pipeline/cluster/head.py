"""The head of a Ray cluster: its address, and whether it answers."""

import contextlib
import os
import re
import socket
import time
from pathlib import Path

from tfkd.errors import MachineError, RequestError

AUTO = "auto"
_CONNECT = 5.0  # seconds for the first answer
_BETWEEN = 2.0  # seconds between looks
_SILENT = 10.0  # seconds after which a head counts as lost
_ADDRESS = re.compile(r"[^\s/:]+:\d{1,5}")


def address_of(cluster: str) -> str:
    """Returns the address of a cluster's head, `host:port`.

    Args:
        cluster: the address, or "auto" for the one in RAY_ADDRESS, or of the cluster that this machine is a node of.

    Raises:
        RequestError: it is no address, or this machine is no node of a cluster.
    """
    if cluster != AUTO:
        if not _ADDRESS.fullmatch(cluster) or int(cluster.rpartition(":")[2]) > 65535:
            raise RequestError(f"--cluster {cluster!r} is no address of a Ray cluster; give host:port, or auto.")
        return cluster
    latest = Path(os.environ.get("RAY_TMPDIR") or "/tmp", "ray", "ray_current_cluster")
    found = os.environ.get("RAY_ADDRESS") or (latest.read_text(encoding="utf-8") if latest.is_file() else "")
    if not _ADDRESS.fullmatch(found):
        raise RequestError(
            "--cluster auto: this machine is no node of a Ray cluster. Start one with ray start --head, or join one "
            "with ray start --address=HOST:PORT."
        )
    return found


def require_head(address: str) -> None:
    """Refuses an address at which no Ray cluster answers.

    Raises:
        RequestError: nothing answers there in a few seconds, or something else than a cluster.
    """
    import grpc

    channel = grpc.insecure_channel(address)
    try:
        grpc.channel_ready_future(channel).result(timeout=_CONNECT)
    except grpc.FutureTimeoutError:
        raise RequestError(
            f"No Ray cluster answers at {address}. Start one with ray start --head, and give the address that it "
            "prints."
        ) from None
    finally:
        channel.close()


class HeadWatch:
    """Notices that the head of a cluster is lost, which Ray itself reports by ending this process, a minute later.

    Args:
        address: its address.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._answered = self._looked = time.monotonic()

    def require_answer(self) -> None:
        """Looks at the head every few seconds.

        Raises:
            MachineError: it has not answered for ten seconds.
        """
        now = time.monotonic()
        if now - self._looked < _BETWEEN:
            return
        self._looked = now
        host, _, port = self._address.rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=_BETWEEN):
            self._answered = time.monotonic()
        if now - self._answered > _SILENT:
            raise MachineError(
                f"The head of the cluster, {self._address}, does not answer any more. Start the cluster again and run "
                "the same command: it continues from what is finished and from the checkpoints."
            )
