"""What a file needs of its runtime, read from the file itself: nothing that a manifest says of it is trusted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfkd import machine
from tfkd.errors import counted
from tfkd.formats import FORMATS, load
from tfkd.formats.mlpackage import MLPACKAGE
from tfkd.verification.records import Artifact, Delegation

_DECIDE_DELEGATION = ("ai-edge-litert", "system")


@dataclass(frozen=True)
class Requirements:
    """What a file needs of its runtime.

    Attributes:
        precisions: that the file may be called, the one that decides its tolerances first; empty where the
            file does not state one.
        min_runtime: oldest runtime that loads it; None where the file does not say.
        operator_versions: of a .tflite file, the newest version of each operator.
        delegation: of a .tflite file, what XNNPACK here takes of it.
    """

    precisions: tuple[str, ...] = ()
    min_runtime: str | None = None
    operator_versions: dict[str, int] = field(default_factory=dict)
    delegation: Delegation | None = None

    @property
    def precision(self) -> str | None:
        """The precision that decides the tolerances; None where all have the same."""
        return self.precisions[0] if self.precisions else None

    def contradictions(self, artifact: Artifact, environment: Mapping[str, str]) -> Iterator[str]:
        """Yields where a manifest says something else.

        Bundles of tfkd 0.1.0 state neither tolerances nor what a runtime needs. Another version of LiteRT, or another
        kind of machine, may run other operators.

        Args:
            artifact: the file's entry in the manifest.
            environment: where the manifest was made.
        """
        here = machine.environment()
        alike = all(environment.get(name) == here.get(name) for name in _DECIDE_DELEGATION)
        if self.delegation != artifact.delegation and (alike or artifact.delegation is None):
            yield f"XNNPACK runs it as {_written(self.delegation)}; the manifest says {_written(artifact.delegation)}"
        if self.precisions and artifact.precision not in self.precisions:
            yield f"its precision is {self.precisions[0]}; the manifest says {artifact.precision!r}"
        if not (artifact.golden_tolerances or artifact.min_runtime or artifact.operator_versions):
            return
        if artifact.min_runtime != self.min_runtime:
            yield f"it needs {self.min_runtime or 'an unknown runtime'}; the manifest says {artifact.min_runtime!r}"
        if artifact.operator_versions != self.operator_versions:
            yield "its operators have other versions than the manifest says"


def _written(delegation: Delegation | None) -> str:
    if delegation is None:
        return "nothing"
    outside = f", {', '.join(delegation.outside)} outside" if delegation.outside else ""
    return f"{counted(delegation.partitions, 'part')} of {counted(delegation.operators, 'operator')}{outside}"


def of(path: Path, format: str) -> Requirements:
    """Reads what a file needs, by the function that the format's record names.

    Raises:
        VerifyError: the file cannot be read, or it is none of the format.
    """
    read = FORMATS[format].requirements
    found: Requirements = load(read)(path) if read else Requirements()
    return found


def of_tflite(path: Path) -> Requirements:
    """Reads what a .tflite file needs."""
    from tfkd.verification import tflite

    found = tflite.precision(path)
    # The converter leaves small weights in float32, in small networks all of them.
    others = ("fp16", "dynamic") if found == "fp32" else ()
    return Requirements(
        (found, *others), tflite.min_runtime(path), tflite.operator_versions(path), tflite.delegation(path)
    )


def of_mlmodel(path: Path) -> Requirements:
    """Reads what an .mlmodel file needs; its weights may be stored in any precision."""
    from tfkd.verification.coreml import specification

    return Requirements(min_runtime=specification.oldest_ios(specification.read(path)))


def of_mlpackage(path: Path) -> Requirements:
    """Reads what an .mlpackage needs; compressed weights are computed with in float16."""
    from tfkd.verification.coreml import specification

    found = specification.read(path)
    half = specification.computes_in_float16(found)
    precisions = tuple(sorted(set(MLPACKAGE.precisions) - {"fp32"})) if half else ("fp32",)
    return Requirements(precisions, specification.oldest_ios(found))
