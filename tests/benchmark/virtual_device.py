"""Starts the virtual Android device of tools/virtual_device, and gives it orders."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "virtual_device" / "run.py"


class VirtualDevice:
    """A device in a process of its own.

    Attributes:
        adb: the program that reaches it.
        serial: its serial number.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lock = threading.Lock()
        greeting = self._heard()
        self.adb, self.serial = greeting["adb"], greeting["serial"]

    def tell(self, do: str, **order: Any) -> dict[str, Any]:
        """Gives an order and returns the answer."""
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            self._process.stdin.flush()
            answer = self._heard()
        assert "error" not in answer, answer
        return answer

    def left_behind(self) -> dict[str, list[str]]:
        """Returns the files below /data/local/tmp and what runs."""
        files = self.tell("list", path="/data/local/tmp")["files"]
        return {"files": files, "processes": self.tell("processes")["processes"]}

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            pytest.skip(f"no virtual device: {self._process.stderr.read().strip()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def started() -> Iterator[VirtualDevice]:
    """Starts a device and ends it; skips the test where that cannot be."""
    process = subprocess.Popen(
        [sys.executable, str(TOOL)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield VirtualDevice(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
