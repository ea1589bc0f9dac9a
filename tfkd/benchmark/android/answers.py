"""Predictions of the user's benchmark binary for the golden images, one process per image."""

import tempfile
from pathlib import Path

import numpy as np

from tfkd.benchmark.android.binary import Tool
from tfkd.benchmark.android.session import RUN
from tfkd.benchmark.subject import BenchSubject, Expected
from tfkd.bundle.results import GoldenCheck
from tfkd.errors import RequestError
from tfkd.formats import FORMATS
from tfkd.formats.families import LITERT_KERNELS, XNNPACK


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
    predictions = [_predict(tool, graph, form, image, expected, delegate) for image in subject.images]
    if delegate != "cpu":
        accepted = FORMATS[expected.format].accepted_families(expected.precision, delegate)
    else:
        accepted = (LITERT_KERNELS,) if partitions == 0 else (XNNPACK, LITERT_KERNELS)
    return expected.compare(np.stack(predictions), accepted)


def _predict(tool: Tool, graph: str, form: "_Form", image: np.ndarray, expected: Expected, delegate: str) -> np.ndarray:
    output = f"{RUN}/output.bin"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.bin"
        path.write_bytes(form.encoded(image))
        remote = tool.session.store(path)
    shape = ",".join(map(str, (1, *image.shape)))
    tool.run(
        graph,
        1,
        delegate,
        input_layer="image",
        input_layer_shape=shape,
        input_layer_value_files=f"image:{remote}",
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
        raise RequestError(f"{tool.path.name} wrote {len(content)} bytes of output to a golden image. Measure again.")
    return probabilities


class _Form:
    """Converts images to a file's input tensor and its output tensor to probabilities."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._input, self._output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def encoded(self, image: np.ndarray) -> bytes:
        """Returns the input tensor's bytes for a raw example, uint8 of the input's shape."""
        scale, zero_point = self._input["quantization"]
        steps = np.clip(np.rint(image / np.float32(scale)) + zero_point, 0, 255) if scale else image
        return steps.astype(self._input["dtype"]).tobytes()

    def decoded(self, content: bytes) -> np.ndarray:
        """Returns float32 [classes] from the output tensor's bytes; empty where they are no whole numbers."""
        dtype = np.dtype(self._output["dtype"])
        if len(content) % dtype.itemsize:
            return np.zeros(0, np.float32)
        values = np.frombuffer(content, dtype).astype(np.float32)
        scale, zero_point = self._output["quantization"]
        return (values - zero_point) * np.float32(scale) if scale else values
