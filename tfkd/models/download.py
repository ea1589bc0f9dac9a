"""Downloads of weights, which end when the server is silent."""

from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from tfkd import files
from tfkd.errors import RequestError, cause, of_the_machine
from tfkd.sandbox import ResourceLimits, Sandbox, begin_phase

SILENCE = 10  # seconds without a byte after which a download is given up
_LIMITS = ResourceLimits(phase_seconds=1.0, image_seconds=0.0, by_the_clock=SILENCE)
_CHUNK = 1 << 16  # bytes


def download(url: str, path: Path) -> None:
    """Downloads a file. It is at `path` when it is complete, and not before.

    This runs in a separate process, because neither the look-up of a name nor the attempts to reach each address of a
    server can be limited from within.

    Raises:
        RequestError: no byte came for ten seconds, or the server has no such file.
    """
    silent = f"no byte of {url} came for {SILENCE} seconds; check the network."
    with files.replacing(path) as partial, Sandbox(RequestError, _LIMITS, blocked=silent) as sandbox:
        sandbox.call(path, _retrieve, url, partial)


def _retrieve(url: str, path: Path) -> None:
    """Writes what a server sends to a file; every byte grants it more time."""
    try:
        with urlopen(url) as response, path.open("wb") as file:
            while chunk := response.read1(_CHUNK):
                file.write(chunk)
                begin_phase()
            size, expected = file.tell(), response.headers["Content-Length"]
    except (OSError, HTTPException) as error:
        raise of_the_machine(error) or RequestError(f"{url}: {cause(error)}.") from None
    if expected and size < int(expected):
        raise RequestError(f"{url}: the connection ended after {size:,} of {int(expected):,} bytes.")
