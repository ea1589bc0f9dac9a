"""Downloads from a local server that is silent, stalls, ends early or answers."""

import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest
from keras.src.applications import mobilenet_v3 as keras_mobilenet_v3
from keras.src.backend import config

from tests.models.test_mobilenet_v3 import random_source, write_h5
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, download, imagenet_file, mobilenet_v3
from tfkd.models.weights import application
from tfkd.recipe import Student, imagenet_of
from tfkd.sandbox import ResourceLimits

STALL = 3.0  # seconds


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the first word of the path; `files` are served as they are."""

    files: dict[str, bytes]
    ended: threading.Event

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        content = self.files.get(name, b"x" * 1000)
        if name not in self.files and not name.startswith(("stalls", "silent", "short", "drips")):
            return self.send_error(404)
        if name.startswith("silent"):
            self.ended.wait(60)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if name.startswith("drips"):
            for _ in range(5):
                self.wfile.write(content[:200])
                time.sleep(STALL / 3)
        elif name.startswith(("stalls", "short")):
            self.wfile.write(content[:10])
            if name.startswith("stalls"):
                self.ended.wait(60)
        else:
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "_LIMITS", ResourceLimits(phase_seconds=1.0, image_seconds=0.0, by_the_clock=STALL))
    Handler.files, Handler.ended = {}, threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/"
        Handler.ended.set()
        served.shutdown()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stalls", "no byte of .* came for 10 seconds"),
        ("silent", "no byte of .* came for 10 seconds"),
        ("short", "the connection ended after 10 of 1,000 bytes"),
        ("absent", "HTTP Error 404: Not Found"),
    ],
)
def test_a_download_that_fails_is_one_line_and_leaves_no_file(
    server: str, tmp_path: Path, name: str, text: str
) -> None:
    began = time.monotonic()
    with pytest.raises(RequestError, match=text) as raised:
        download.download(server + name, tmp_path / "weights.h5")
    assert server + name in str(raised.value) and "\n" not in str(raised.value)
    assert time.monotonic() - began < 2 * STALL
    assert list(tmp_path.iterdir()) == []


def test_every_byte_grants_more_time(server: str, tmp_path: Path) -> None:
    download.download(f"{server}drips", tmp_path / "weights.h5")
    assert (tmp_path / "weights.h5").read_bytes() == b"x" * 1000


@pytest.fixture
def published(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a MobileNetV3-Small that Keras would download, on the server; the cache of Keras is empty."""
    name = "weights_mobilenet_v3_small_224_1.0_float.h5"
    write_h5(random_source("mobilenet_v3_small", 1.0, classes=1000), tmp_path / name)
    Handler.files[name] = (tmp_path / name).read_bytes()
    hashes = {"small_224_1.0_float": (hashlib.md5(Handler.files[name]).hexdigest(), "")}
    monkeypatch.setattr(keras_mobilenet_v3, "WEIGHTS_HASHES", hashes)
    monkeypatch.setattr(keras_mobilenet_v3, "BASE_WEIGHT_PATH", server)
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    mobilenet_v3._published.cache_clear()
    return tmp_path / name


def test_weights_that_keras_publishes_are_downloaded_once_and_held_to_their_hash(published: Path) -> None:
    student = Student(model="mobilenet_v3_small", activation="hard_swish")
    path = imagenet_file(student)
    assert path.read_bytes() == published.read_bytes()
    Handler.files.clear()  # from here on, only the cache has it
    mobilenet_v3._published.cache_clear()
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    ours = build_student(student.model_copy(update={"weights": imagenet_of(digest)}), signature(64), 3, seed=1)
    theirs = keras.applications.MobileNetV3Small(weights=None, classes=1000)
    assert ours.get_layer("conv_1").kernel.shape == theirs.get_layer("conv_1").kernel.shape
    with pytest.raises(RequestError, match=f"have the SHA-256 {digest}, not that of the recipe, {'0' * 64}"):
        build_student(student.model_copy(update={"weights": imagenet_of("0" * 64)}), signature(64), 3, seed=1)


def test_downloads_of_keras_end_too(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teachers of keras.applications get their weights in this way."""
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    monkeypatch.setattr(keras.applications, "ResNet50", lambda weights: keras.utils.get_file("r", f"{server}stalls"))
    with pytest.raises(RequestError, match=r"weights of ResNet50: .*no byte of .*stalls came .* or weights='none'"):
        application("ResNet50", weights="imagenet")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
