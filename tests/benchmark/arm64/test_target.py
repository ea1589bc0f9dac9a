"""The ARM64 target: what needs no root always, the rest on the real root, where it has been assembled."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.writers.conftest import CARD, SIZE, make_model
from tfkd.benchmark import subject
from tfkd.benchmark.arm64 import root, target
from tfkd.benchmark.options import Arm64Options
from tfkd.benchmark.subject import BenchSubject, Expected
from tfkd.bundle.results import Result
from tfkd.errors import RequestError
from tfkd.formats.families import XNNPACK

try:
    ROOT = root.find(root.folder())
except RequestError as error:
    ROOT, MISSING = None, str(error)

emulated = [pytest.mark.slow, pytest.mark.skipif(ROOT is None, reason=MISSING if ROOT is None else "")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small classifier as floats and as bytes."""
    from tfkd.writers.tflite import write_tflite

    folder, model = tmp_path_factory.mktemp("tflite"), make_model()
    written = {precision: folder / f"{precision}.tflite" for precision in ("fp32", "int8")}
    for precision, path in written.items():
        write_tflite(model, precision, path, CARD, photos(16))
    return written


def photos(count: int) -> np.ndarray:
    """Coloured noise, uint8 [n, SIZE, SIZE, 3]; another for every number."""
    return np.random.default_rng(count).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture
def no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFKD_ARM64", str(tmp_path))
    return tmp_path


def bench(measured: BenchSubject, address: str = "cortex-a76") -> list[Result]:
    return target.bench(address, measured, Arm64Options())


def test_a_missing_root_is_reported_in_one_line(no_root):
    with pytest.raises(RequestError, match=r"no ARM64 root at .*Run `python tools/arm64/setup\.py`"):
        bench(BenchSubject({}, {}))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"qemu": "7.2"}', "\x00"])
def test_a_damaged_root_is_reported_in_one_line(no_root, content):
    (no_root / root.READY).write_text(content)
    with pytest.raises(RequestError, match=r"is damaged\. Run"):
        root.find(no_root)


def test_an_unknown_profile_is_reported_first(no_root):
    with pytest.raises(RequestError, match=r"no ARM64 profile .cortex-a75.\. Did you mean .cortex-a76."):
        target.bench("cortex-a75", BenchSubject({}, {}), Arm64Options())


@pytest.mark.parametrize("processor", root.PROFILES.values(), ids=list(root.PROFILES))
def test_a_processor_shows_its_own_part_and_features(processor):
    lines = dict(re.split(r"\t: ", line) for line in processor.cpuinfo().strip().splitlines())
    assert (lines["processor"], lines["CPU implementer"]) == ("0", "0x41")
    assert int(lines["CPU part"], 16) == processor.part
    assert ("asimddp" in lines["Features"].split()) == (processor.qemu == "cortex-a76")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_runner_predicts_as_litert_on_this_machine(files, tmp_path, precision):
    from ai_edge_litert.interpreter import Interpreter

    (tmp_path / "model.tflite").symlink_to(files[precision])
    np.save(tmp_path / "images.npy", photos(3))
    command = [sys.executable, "-P", str(target.RUNNER), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["integer"] == (precision == "int8")

    interpreter = Interpreter(str(files[precision]))
    runner = interpreter.get_signature_runner("serving_default")
    kind = runner.get_input_details()["image"]["dtype"]
    expected = np.concatenate([runner(image=image[None].astype(kind))["probabilities"] for image in photos(3)])
    answers = np.load(tmp_path / "answers.npy")
    np.testing.assert_allclose(answers, expected / (256 if precision == "int8" else 1), atol=1e-6)
    assert np.ptp(answers) > 0.1, "equal predictions would prove nothing"


def test_the_memory_of_a_file_grows_with_its_weights(tmp_path):
    """The program runs here, where its own counters can be compared with those of the system."""
    small, large = (_measured(tmp_path / f"{name}.tflite", units) for name, units in (("small", 8), ("large", 4096)))
    weights = 4 * 3 * SIZE * SIZE * (4096 - 8) / 1e6
    assert weights / 2 < large - small < 3 * weights  # the file's own pages, and XNNPACK's packed copy


def _measured(path: Path, units: int) -> float:
    """Returns the memory of a float classifier with one hidden layer."""
    import keras
    import tensorflow as tf

    layers = [keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(units), keras.layers.Dense(3)]
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(keras.Sequential(layers)).convert())
    folder = path.with_suffix("")
    folder.mkdir()
    (folder / target.MODEL).symlink_to(path)
    command = [sys.executable, "-P", str(target.MEMORY), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["peak_memory_mb"])


class TestEmulated:
    pytestmark = emulated

    @pytest.fixture(scope="class")
    def results(self, files) -> dict[str, Result]:
        return {result.artifact.path: result for result in bench(subject.of_files(files))}

    def test_integers_answer_bit_for_bit_and_floats_closely(self, results):
        integer, floating = results["int8"].golden, results["fp32"].golden
        assert integer.passed and integer.max_abs_error == 0 == integer.tolerance
        assert floating.passed and floating.max_abs_error < 1e-5
        assert integer.checked == floating.checked == 2

    def test_a_count_is_never_a_time(self, results):
        for result in results.values():
            assert result.latency_ms is None and not result.samples_ms
            assert result.peak_memory_mb > 0
            assert (result.emulated, result.rung, result.device.soc) == (True, "arm64 emulated", "Cortex-A76")
            assert result.instructions["total"] == sum(result.instructions.values()) / 2

    def test_the_kernels_are_those_of_the_processor(self, results, files):
        assert results["int8"].instructions["dot"] > 0 == results["int8"].instructions["other"]
        assert results["fp32"].instructions["float_mac"] > 10 * results["int8"].instructions["float_mac"]
        (old,) = bench(subject.of_files({"int8": files["int8"]}), "cortex-a53")
        assert old.instructions["dot"] == 0 < old.instructions["int_mac"]

    def test_a_second_run_counts_the_same_to_the_instruction(self, results, files, tmp_path, monkeypatch):
        """Changes the place, the images and the environment, and compares with the bundle's predictions too."""
        moved = tmp_path / "a rather longer name" / "x.tflite"
        moved.parent.mkdir()
        moved.write_bytes(files["int8"].read_bytes())
        monkeypatch.setenv("LANG", "de_DE.UTF-8")
        monkeypatch.setenv("PYTHONHASHSEED", "7")
        level = np.full((3, len(CARD.classes)), 1 / len(CARD.classes), np.float32)
        uniform = Expected("tflite", "int8", {XNNPACK: level}, {XNNPACK: 0.01})
        (result,) = bench(replace(subject.of_files({"x": moved}), images=photos(3), expected={"x": uniform}))
        assert result.instructions == results["int8"].instructions
        assert result.peak_memory_mb == results["int8"].peak_memory_mb
        assert (result.golden.checked, result.golden.passed, result.golden.tolerance) == (3, False, 0.01)


@pytest.mark.skipif(ROOT is None, reason=MISSING if ROOT is None else "")
def test_a_broken_file_is_named_in_one_line(tmp_path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"not a model")
    with pytest.raises(RequestError, match=r"LiteRT cannot run .*broken\.tflite on this machine: ") as caught:
        bench(subject.of_files({"broken": path}))
    assert "\n" not in str(caught.value)
