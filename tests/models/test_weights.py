"""Weights of keras.applications, which Keras downloads."""

from typing import Any

import keras
import pytest

from tfkd.errors import RequestError
from tfkd.models.weights import application


def test_a_failed_download_is_one_line_and_other_errors_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(**arguments: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(keras.applications, "ResNet50", failing)
    with pytest.raises(RequestError, match=r"weights of ResNet50: .*no route to host.* weights='none'"):
        application("ResNet50", weights="imagenet")
    with pytest.raises(OSError, match="no route to host"):
        application("ResNet50", weights=None)
