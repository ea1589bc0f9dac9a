"""What a file needs of its runtime, read from the file itself: nothing that a manifest says of it is trusted."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from tfkd.export.manifest import Artifact
from tfkd.recipe import CoremlForm

_PACKAGE = "mlpackage"
_FLOAT16_PROGRAMS = frozenset(
    form.partition("_")[2] or "fp16" for form in get_args(CoremlForm) if form.startswith(_PACKAGE)
) - {"fp32"}


@dataclass(frozen=True)
class Requirements:
    """What a file needs of its runtime.

    Attributes:
        precisions: that the file may be called, the one that decides its tolerances first; empty: not told apart.
        min_runtime: oldest runtime that loads it; None where the file does not say.
        operator_versions: of a .tflite file, the newest version of each operator.
    """

    precisions: tuple[str, ...] = ()
    min_runtime: str | None = None
    operator_versions: dict[str, int] = field(default_factory=dict)

    @property
    def precision(self) -> str | None:
        """The precision that decides the tolerances; None where all have the same."""
        return self.precisions[0] if self.precisions else None

    def contradictions(self, artifact: Artifact) -> Iterator[str]:
        """Yields where a manifest says something else.

        Bundles of tfkd 0.1.0 state neither tolerances nor what a runtime needs.
        """
        if self.precisions and artifact.precision not in self.precisions:
            yield f"its precision is {self.precisions[0]}; the manifest says {artifact.precision!r}"
        if not (artifact.golden_tolerances or artifact.min_runtime or artifact.operator_versions):
            return
        if artifact.min_runtime != self.min_runtime:
            yield f"it needs {self.min_runtime or 'an unknown runtime'}; the manifest says {artifact.min_runtime!r}"
        if artifact.operator_versions != self.operator_versions:
            yield "its operators have other versions than the manifest says"


def of(path: Path, format: str) -> Requirements:
    """Reads what a file needs.

    Raises:
        VerifyError: the file cannot be read, or it is none of the format.
    """
    if format == "tflite":
        return _of_tflite(path)
    return Requirements() if format == "onnx" else _of_coreml(path, format)


def _of_tflite(path: Path) -> Requirements:
    from tfkd.verify import tflite

    found = tflite.precision(path)
    # The converter leaves small weights in float32, in small networks all of them.
    others = ("fp16", "dynamic") if found == "fp32" else ()
    return Requirements((found, *others), tflite.min_runtime(path), tflite.operator_versions(path))


def _of_coreml(path: Path, format: str) -> Requirements:
    from tfkd.verify.coreml import specification

    found: Any = specification.read(path)
    if format != _PACKAGE:
        return Requirements(min_runtime=specification.oldest_ios(found))
    precisions = tuple(sorted(_FLOAT16_PROGRAMS)) if specification.computes_in_float16(found) else ("fp32",)
    return Requirements(precisions, specification.oldest_ios(found))
