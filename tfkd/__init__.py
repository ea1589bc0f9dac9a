"""tfkd: distils heavy Keras image classifiers into phone-sized ones and proves every exported file."""

import importlib

from tfkd.version import __version__

TYPE_CHECKING = False  # typing's own would be looked for in the current folder under `python -m`
if TYPE_CHECKING:
    from typing import Any

    from tfkd.bundle.loading import Bundle, load_bundle
    from tfkd.distill.distiller import Distiller
    from tfkd.distill.predictions import TeacherPredictions

__all__ = ["Bundle", "Distiller", "TeacherPredictions", "__version__", "load_bundle"]

_MODULES = {
    "Bundle": "tfkd.bundle.loading",
    "Distiller": "tfkd.distill.distiller",
    "TeacherPredictions": "tfkd.distill.predictions",
    "load_bundle": "tfkd.bundle.loading",
}


def __getattr__(name: str) -> "Any":
    if name in _MODULES:  # TensorFlow loads on first use, so that `tfkd --help` stays fast
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'tfkd' has no attribute {name!r}")
