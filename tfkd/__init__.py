"""tfkd: distils heavy Keras image classifiers into phone-sized ones and proves every exported file."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfkd.distill.distiller import Distiller

__version__ = "0.1.0"
__all__ = ["Distiller", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Distiller":  # TensorFlow loads on first use, so that `tfkd --help` stays fast
        from tfkd.distill.distiller import Distiller

        return Distiller
    raise AttributeError(f"module 'tfkd' has no attribute {name!r}")
