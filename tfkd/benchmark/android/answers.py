"""Inputs of the user's benchmark binary, and its predictions for the golden examples, one process per example."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.benchmark.android.binary import Tool
from tfkd.benchmark.android.session import RUN
from tfkd.benchmark.subject import BenchSubject, Expected
from tfkd.bundle.results import GoldenCheck
from tfkd.errors import RequestError
from tfkd.formats import FORMATS
from tfkd.formats.families import LITERT_KERNELS, XNNPACK
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.verification import VerifyError

_TEXTS = 2  # dimensions of ids of several texts
_DRAWN = 100  # ids from 0 that the tools draw


def inputs(tool: Tool, subject: BenchSubject, name: str) -> dict[str, str]:
    """Returns the tool's options for the random input that it times, where it needs any.

    Both tools draw ids from 0 to 99, and a vocabulary may be smaller. LiteRT's accepts no other range.

    Raises:
        RequestError: LiteRT's tool would draw ids beyond the vocabulary.
    """
    path, has_images = subject.paths[name], len(subject.images) and subject.images.ndim != _TEXTS
    form = None if has_images else _form(path)
    if form is None or not form.takes_ids:
        return {}
    if tool.litert:
        _require_drawable(path, tool)
        return {}
    return {**form.layers, "input_layer_value_range": f"{form.name},0,{len(SPECIAL) - 1}"}


def _form(path: Path) -> "_Form | None":
    """Returns the form of a file; None where it cannot be read, so that the tool says why."""
    try:
        return _Form(path)
    except ValueError:
        return None


def _require_drawable(path: Path, tool: Tool) -> None:
    from tfkd.verification import tflite

    try:
        pieces = len(tflite.pieces(path))
    except VerifyError:  # a file without a vocabulary
        return
    if pieces < _DRAWN:
        raise RequestError(
            f"{path.name} has a vocabulary of {pieces} pieces, but {tool.path.name} is LiteRT's tool, which draws ids "
            f"from 0 to {_DRAWN - 1}. Take TFLite's benchmark_model."
        )


def compared(
    tool: Tool, graph: str, subject: BenchSubject, name: str, delegate: str, partitions: int | None
) -> GoldenCheck | None:
    """Compares the predictions for the golden images; returns None for LiteRT's tool, which accepts no input.

    Depending on its version a tool runs an integer file inside XNNPACK or outside, so both families are accepted unless
    the tool reports that XNNPACK runs nothing.
    """
    expected = subject.expected.get(name)
    if expected is None or tool.litert:
        return None
    form = _Form(subject.paths[name])
    predictions = [_predict(tool, graph, form, example, expected, delegate) for example in subject.images]
    if delegate != "cpu":
        accepted = FORMATS[expected.format].accepted_families(expected.precision, delegate)
    else:
        accepted = (LITERT_KERNELS,) if partitions == 0 else (XNNPACK, LITERT_KERNELS)
    return expected.compare(np.stack(predictions), accepted)


def _predict(
    tool: Tool, graph: str, form: "_Form", example: np.ndarray, expected: Expected, delegate: str
) -> np.ndarray:
    output = f"{RUN}/output.bin"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.bin"
        path.write_bytes(form.encoded(example))
        remote = tool.session.store(path)
    tool.run(
        graph,
        1,
        delegate,
        **form.layers,
        input_layer_value_files=f"{form.name}:{remote}",
        output_filepath=output,
        num_runs=1,
        min_secs=0,
        warmup_runs=1,
        warmup_min_secs=0,
    )
    tool.session.phone.shell(f"rm -f {remote}")
    content = tool.fetched(output) or b""
    probabilities = form.decoded(content)
    if probabilities.shape != (expected.classes,):
        raise RequestError(f"{tool.path.name} wrote {len(content)} bytes of output to a golden example. Measure again.")
    return probabilities


class _Form:
    """Converts examples to a file's input tensor and its output tensor to probabilities."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        from tfkd.benchmark.runner import entry

        interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._all, self._input = interpreter.get_input_details(), entry(interpreter)
        self._output = interpreter.get_output_details()[0]
        self.name = _layer(self._input)

    @property
    def takes_ids(self) -> bool:
        """Whether an example is the ids of a text."""
        return bool(np.dtype(self._input["dtype"]) == np.int32)

    @property
    def layers(self) -> dict[str, str]:
        """The tool's options that list all inputs, in the file's order."""
        shapes = [",".join(map(str, each["shape"])) for each in self._all]
        return {"input_layer": ",".join(map(_layer, self._all)), "input_layer_shape": ":".join(shapes)}

    def encoded(self, example: np.ndarray) -> bytes:
        """Returns the input tensor's bytes for a raw example: uint8 of the input's shape, or int32 ids."""
        scale, zero_point = self._input["quantization"]
        steps = np.clip(np.rint(example / np.float32(scale)) + zero_point, 0, 255) if scale else example
        return steps.astype(self._input["dtype"]).tobytes()

    def decoded(self, content: bytes) -> np.ndarray:
        """Returns float32 [classes] from the output tensor's bytes; empty where they are no whole numbers."""
        dtype = np.dtype(self._output["dtype"])
        if len(content) % dtype.itemsize:
            return np.zeros(0, np.float32)
        values = np.frombuffer(content, dtype).astype(np.float32)
        scale, zero_point = self._output["quantization"]
        return (values - zero_point) * np.float32(scale) if scale else values


def _layer(tensor: dict[str, Any]) -> str:
    """Returns an input's name as far as it needs no escape; the tool finds inputs by their order."""
    return str(tensor["name"]).partition(":")[0]
