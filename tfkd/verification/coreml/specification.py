"""Reads the protobuf of a Core ML classifier; nothing in it is trusted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfkd.quiet import native_logs_silenced
from tfkd.verification import VerifyError

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    from coremltools import proto

NETWORK = "neuralNetworkClassifier"
TREES = "treeEnsembleClassifier"
PROGRAM = "mlProgram"
CLASSIFY = "classify"

_OLDEST_IOS = {4: 13, 5: 14, 6: 15, 7: 16, 8: 17, 9: 18}  # by version of the specification (Core ML's Model.proto)
_DATA = Path("Data", "com.apple.CoreML")
_MODEL = "model.mlmodel"


def read(path: Path) -> Any:
    """Returns the specification of an .mlmodel file or of an .mlpackage folder, a `Model` of Core ML's protobuf.

    Raises:
        VerifyError: it cannot be read, is damaged, or is neither a classifier by a neural network or trees nor an ML
            program.
    """
    specification = proto.Model_pb2.Model()
    try:
        specification.ParseFromString(contained(path, _MODEL).read_bytes() if path.is_dir() else path.read_bytes())
    except OSError as error:
        raise VerifyError(f"{path}: cannot be read: {error.strerror}.") from None
    except VerifyError:
        raise
    except Exception:
        raise VerifyError(f"{path}: is not a whole Core ML file; export it again.") from None
    if specification.WhichOneof("Type") not in (NETWORK, TREES, PROGRAM):
        raise VerifyError(
            f"{path}: is neither a classifier by a neural network or trees nor an ML program; export it again."
        )
    return specification


def contained(package: Path, relative: str) -> Path:
    """Returns the path of a file inside a package's data folder.

    Args:
        package: the .mlpackage folder.
        relative: as the model names the file.

    Raises:
        VerifyError: the name, or a link behind it, leads out of the package.
    """
    root = package / _DATA
    try:
        if (root / relative).resolve().is_relative_to(package.resolve()):
            return root / relative
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL in the name
        pass
    raise VerifyError(f"{package}: names the file {relative!r} outside itself.")


def class_labels(specification: Any) -> list[str]:
    """Returns the class names in the order of the probabilities; none if the model states none.

    Labels that are integers are written in decimal.
    """
    kind = specification.WhichOneof("Type")
    if kind in (NETWORK, TREES):
        classifier = getattr(specification, kind)
        return [*classifier.stringClassLabels.vector, *map(str, classifier.int64ClassLabels.vector)]
    for operation in operations(specification):
        if operation.type == CLASSIFY:
            arguments = operation.inputs["classes"].arguments
            values = arguments[0].value.immediateValue.list.values if arguments else []
            return [label for value in values for label in _texts(value.immediateValue.tensor)]
    return []


def _texts(tensor: Any) -> Iterator[str]:
    yield from tensor.strings.values
    yield from map(str, tensor.longInts.values)


def operations(specification: Any) -> Iterator[Any]:
    """Yields the operations of an ML program's main function in the order in which they run."""
    main = specification.mlProgram.functions["main"]
    yield from main.block_specializations[main.opset].operations


def oldest_ios(specification: Any) -> str | None:
    """Returns the oldest iOS that loads a model, such as iOS 15; None where that is not known."""
    version = _OLDEST_IOS.get(specification.specificationVersion)
    return None if version is None else f"iOS {version}"


def computes_in_float16(specification: Any) -> bool:
    """Returns whether a model is an ML program that holds values in float16."""
    if specification.WhichOneof("Type") != PROGRAM:
        return False
    half = proto.MIL_pb2.DataType.FLOAT16
    return any(
        output.type.tensorType.dataType == half
        for operation in operations(specification)
        for output in operation.outputs
    )
