"""Files of text models: XNNPACK runs all but the look-up, and tfkd, MediaPipe and onnxruntime read and run them."""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tools import runtimes
from tests.tools.compilers import MissingError
from tests.writers.text_files import CARD, LENGTH, MODELS, TextFiles, exported, texts
from tfkd.benchmark import subject
from tfkd.errors import RequestError
from tfkd.inputs.image.normalization import parse
from tfkd.inputs.image.tensors import signature as image
from tfkd.inputs.text.vocabulary import Vocabulary
from tfkd.report.inspection import tables
from tfkd.verification import VerifyError, coreml, feeding, onnx, operators, tflite
from tfkd.verification import metadata as verified
from tfkd.verification.apart import Apart
from tfkd.verification.artifacts import Reference, measure
from tfkd.verification.coreml import specification
from tfkd.verification.gates import JUDGES
from tfkd.verification.inspect import ComparedOn, _examples, inspect
from tfkd.verification.records import InputOutput
from tfkd.writers import metadata
from tfkd.writers.flatbuffer import TfliteNetwork
from tfkd.writers.tflite import write_tflite

TOLERANCES = {"fp32": 1e-5, "fp16": 1e-2, "dynamic": 0.1, "int8": 0.1}
PRECISIONS = {
    "word_average": ("fp32", "fp16", "dynamic", "int8"),
    "text_convolution": ("fp32", "dynamic", "int8"),
    "text_transformer": ("fp32", "fp16", "dynamic"),
    "bert": ("fp32",),
}
CASES = [(name, precision) for name in MODELS for precision in PRECISIONS[name]]


@pytest.fixture(scope="module")
def text_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TextFiles]:
    """The students and a BERT, in every format."""
    return {name: exported(name, tmp_path_factory.mktemp(name)) for name in MODELS}


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_all_but_the_look_up_is_one_partition(name: str, precision: str, text_files: dict[str, TextFiles]) -> None:
    found = tflite.delegation(text_files[name].path(f"_{precision}.tflite"))
    expected = ["DEQUANTIZE", "GATHER"] if precision == "fp16" else ["GATHER"]
    assert (found.partitions, found.outside, found.look_up) == (1, expected, expected)
    assert found.operators > 8


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_they_predict_what_keras_does(name: str, precision: str, text_files: dict[str, TextFiles]) -> None:
    files = text_files[name]
    ids = files.ids(texts())
    probabilities = files.probabilities(ids)
    assert probabilities.max(axis=1).mean() < 0.95 and len(set(probabilities.argmax(axis=1))) > 1
    path = files.path(f"_{precision}.tflite")
    found = tflite.predict(path, [ids[:50], ids[50:]])
    np.testing.assert_allclose(found, probabilities, atol=TOLERANCES[precision])
    own = tflite.predict(path, [ids], own_kernels=True)
    np.testing.assert_allclose(own, probabilities, atol=TOLERANCES[precision])


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_they_are_what_the_card_says(name: str, precision: str, text_files: dict[str, TextFiles]) -> None:
    files = text_files[name]
    path = files.path(f"_{precision}.tflite")
    require_ends(tflite.check(path, CARD, files.signature), files)
    assert tflite.precision(path) == precision


def require_ends(found: InputOutput, files: TextFiles) -> None:
    assert (found.input.name, found.input.shape, found.input.dtype) == ("ids", [1, LENGTH], "int32")
    assert found.input.range == [0, len(files.signature.pieces) - 1]
    assert found.output.shape == [1, len(CARD.classes)]


@pytest.mark.parametrize("name", MODELS)
def test_core_ml_predicts_what_keras_does(name: str, text_files: dict[str, TextFiles]) -> None:
    files = text_files[name]
    path, ids = files.path("_fp32.mlpackage"), files.ids(texts())
    require_ends(coreml.check(path, CARD, files.signature), files)
    np.testing.assert_allclose(coreml.predict(path, [ids[:50], ids[50:]]), files.probabilities(ids), atol=1e-5)
    with pytest.raises(VerifyError, match=r"takes ids \(16,\), not \(15,\)"):
        coreml.predict(path, [ids[:, 1:]])


def test_core_ml_in_float16_with_the_int16_ids_of_ios_18(text_files: dict[str, TextFiles]) -> None:
    files = text_files["word_average"]
    path, ids = files.path("intents.mlpackage"), files.ids(texts())
    assert "ids_to_int16" in str(specification.read(path))
    assert 1e-5 < np.abs(coreml.predict(path, [ids]) - files.probabilities(ids)).max() < 1e-2


def test_core_ml_files_state_length_and_vocabulary(text_files: dict[str, TextFiles]) -> None:
    files = text_files["word_average"]
    path, signature = files.path("_fp32.mlpackage"), files.signature
    stated = specification.read(path).description.metadata.userDefined
    assert (stated["length"], stated["pieces"], stated["teacher"]) == ("16", "300", "large")
    with pytest.raises(VerifyError, match="its vocabulary_sha256 is '"):
        coreml.check(path, CARD, replace(signature, pieces=(*signature.pieces[:-1], "other")))
    longer = replace(signature, tensors=(replace(signature.single, shape=(LENGTH + 1,)),))
    with pytest.raises(VerifyError, match=r"does not take exactly one int32 array 'ids' \[1, 17\]; its length is '16'"):
        coreml.check(path, CARD, longer)
    with pytest.raises(VerifyError, match="it does not take exactly one image"):
        coreml.check(path, CARD, image(32))


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        ("FLOAT32", [1, LENGTH], "takes neither one image nor the ids of one text, int32"),
        ("INT32", [LENGTH], "takes neither one image nor the ids of one text, int32"),
        ("INT32", [2, LENGTH], "takes neither one image nor the ids of one text, int32"),
        ("INT32", [1, 1 << 20], "takes 1,048,576 ids, which no text has"),
        ("INT32", [1, LENGTH - 1], "operator 'input' .*it makes the shape"),
    ],
)
def test_core_ml_files_that_take_something_else_are_refused(
    dtype: str, shape: list[int], message: str, text_files: dict[str, TextFiles], tmp_path: Path
) -> None:
    path = tmp_path / "other.mlpackage"
    shutil.copytree(text_files["word_average"].path("_fp32.mlpackage"), path)
    found = specification.read(path)
    array = found.description.input[0].type.multiArrayType
    array.shape[:], array.dataType = shape, type(array).ArrayDataType.Value(dtype)
    (path / "Data/com.apple.CoreML/model.mlmodel").write_bytes(found.SerializeToString())
    with pytest.raises(VerifyError, match=message):
        coreml.load(path)


def test_ids_out_of_range_are_refused(text_files: dict[str, TextFiles]) -> None:
    files = text_files["word_average"]
    ids = np.full((1, LENGTH), len(files.signature.pieces), np.int32)
    for ending, predict in (
        ("_fp32.tflite", tflite.predict),
        ("_fp32.mlpackage", coreml.predict),
        (".onnx", onnx.predict),
    ):
        with pytest.raises(VerifyError, match="cannot be run"):
            predict(files.path(ending), [ids])


def test_files_that_cannot_be_made_have_a_reason(text_files: dict[str, TextFiles]) -> None:
    found = {(name, each.path): each.reason for name, files in text_files.items() for each in files.missing}
    attention = "Attention in int8 loses accuracy and runs outside of XNNPACK; use dynamic, which has int8 weights."
    assert found.pop(("text_transformer", "android/intents_int8.tflite")) == attention
    reason = found.pop(("word_average", "ios/intents.mlmodel"))
    assert reason.startswith("an .mlmodel holds ids as float16 on the GPU") and "write an .mlpackage instead" in reason
    assert found.pop(("word_average", "android/intents_16x8.tflite")).startswith("Networks of texts are not written in")
    assert not found


def test_int8_files_give_bytes_and_leave_the_average_alone_in_float(text_files: dict[str, TextFiles]) -> None:
    files = text_files["word_average"]
    path, ids = files.path("_int8.tflite"), files.ids(texts())
    output = tflite.check(path, CARD, files.signature).output
    assert (output.dtype, output.scale, output.zero_point) == ("uint8", 1 / 256, 0)
    in_float = {each.kind for each in operators.read(path) if each.outputs[0].dtype == "float32"}
    assert in_float == {"DEQUANTIZE", "MEAN", "MAXIMUM", "DIV", "SOFTMAX"}
    agreement = np.mean(tflite.predict(path, [ids]).argmax(axis=1) == files.probabilities(ids).argmax(axis=1))
    assert agreement > 0.95


def test_int8_needs_ids_of_texts_to_calibrate_with(text_files: dict[str, TextFiles], tmp_path: Path) -> None:
    files = text_files["word_average"]
    for calibration in (files.ids(texts())[:, 1:], np.zeros((3, LENGTH), np.uint8)):
        with pytest.raises(RequestError, match=r"int8 needs calibration texts int32 \[n, 16\], not "):
            write_tflite(files.model, "int8", tmp_path / "x.tflite", CARD, calibration)
    with pytest.raises(RequestError, match=r"int8 needs at least one calibration text; set export\.calibration_images"):
        write_tflite(files.model, "int8", tmp_path / "x.tflite", CARD, files.ids([]))


@pytest.mark.parametrize("name", MODELS[:3])
def test_onnxruntime_predicts_what_keras_does(name: str, text_files: dict[str, TextFiles]) -> None:
    files = text_files[name]
    path, ids = files.path(".onnx"), files.ids(texts())
    require_ends(onnx.check(path, CARD, files.signature), files)
    np.testing.assert_allclose(onnx.predict(path, [ids[:50], ids[50:]]), files.probabilities(ids), atol=1e-5)
    assert "--int8" not in (path.parent / "TENSORRT.md").read_text()
    assert not list(path.parent.glob("*.calibration"))


def test_another_vocabulary_card_or_length_is_refused(text_files: dict[str, TextFiles]) -> None:
    files = text_files["word_average"]
    path, signature = files.path("_fp32.tflite"), files.signature
    pieces = (*signature.pieces[:-1], "other")
    with pytest.raises(VerifyError, match="the vocabulary packed into it is not that of the student"):
        tflite.check(path, CARD, replace(signature, pieces=pieces))
    with pytest.raises(VerifyError, match="its metadata give the author 'Ada', not 'Bob'"):
        tflite.check(path, replace(CARD, author="Bob"), signature)
    longer = replace(signature, tensors=(replace(signature.single, shape=(LENGTH + 1,)),))
    with pytest.raises(VerifyError, match=r"takes and gives \(\[1, 16\], \[1, 4\]\), not \(\[1, 17\], \[1, 4\]\)"):
        tflite.check(path, CARD, longer)


def test_labels_and_vocabulary_are_packed(text_files: dict[str, TextFiles]) -> None:
    files = text_files["word_average"]
    with zipfile.ZipFile(files.path("_dynamic.tflite")) as archive:
        assert archive.namelist() == ["labels.txt", "vocab.txt"]
        assert archive.read("vocab.txt").decode() == Vocabulary(files.signature.pieces).text


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("BERT_INPUTS", ("ids", "segment_ids", "mask"), "its metadata name its inputs ('ids', 'segment_ids', 'mask')"),
        ("_BERT_TOKENIZER_OPTIONS", np.int8(5), "its metadata do not give MediaPipe's BertTokenizer"),
        ("VOCABULARY", "words.txt", "its metadata do not name vocab.txt as the vocabulary of its tokenizer"),
        ("_VOCABULARY", np.int8(2), "its metadata do not name vocab.txt as the vocabulary of its tokenizer"),
    ],
)
def test_metadata_that_mediapipe_would_not_understand_are_refused(
    name: str,
    value: object,
    problem: str,
    text_files: dict[str, TextFiles],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    files = text_files["word_average"]
    monkeypatch.setattr(metadata, name, value)
    network = TfliteNetwork(files.path("_fp32.tflite").read_bytes())
    network.model.metadata = None
    path = tmp_path / "x.tflite"
    path.write_bytes(metadata.pack(network.packed(), CARD, files.signature))
    (found,) = verified.problems(tflite.model(path), CARD, files.signature)
    assert found.startswith(problem)


@pytest.mark.parametrize("change", ["second", "computed"])
def test_another_operator_outside_is_not_the_look_up(
    change: str, text_files: dict[str, TextFiles], tmp_path: Path
) -> None:
    """A second look-up, and one that reads a table that is computed, stay among the operators that are outside."""
    network = TfliteNetwork(text_files["word_average"].path("_fp32.tflite").read_bytes())
    operators = network.graph.operators
    (gather,) = [operator for operator in operators if network.kind(operator) == "GATHER"]
    if change == "second":
        again = network.add_tensor("again", network.shape(int(gather.outputs[0])), np.float32)
        operators.insert(1, network.operator("GATHER", gather.inputs, [again], axis=0))
        operators[2].inputs = np.array([again, *operators[2].inputs[1:]], np.int32)
    else:
        table = int(gather.inputs[0])
        changed = network.add_tensor("changed", network.shape(table), np.float32)
        operators.insert(0, network.operator("NEG", [table], [changed]))
        gather.inputs = np.array([changed, gather.inputs[1]], np.int32)
    path = tmp_path / "changed.tflite"
    path.write_bytes(network.packed())
    found = tflite.delegation(path)
    assert found.outside.count("GATHER") == (2 if change == "second" else 1)
    assert found.look_up == (["GATHER"] if change == "second" else [])


def test_every_file_is_measured_and_passes_its_gates(text_files: dict[str, TextFiles]) -> None:
    files = text_files["word_average"]
    ids = files.ids(texts())
    keras = files.probabilities(ids)
    reference = Reference([ids], keras.argmax(axis=1), keras, None, files.signature)
    found = [measure(files.folder, file, reference, CARD) for file in files.files]
    assert {(each.format, each.precision) for each in found} == {
        *(("tflite", precision) for precision in PRECISIONS["word_average"]),
        *(("mlpackage", "fp16"), ("mlpackage", "fp32"), ("onnx", "fp32")),
    }
    for artifact in found:
        assert artifact.top1_vs_keras is not None and artifact.top1_vs_keras > 0.95, artifact.path
        assert artifact.io is not None and artifact.io.input.dtype == "int32"
        if artifact.format == "tflite":
            gate = JUDGES["one_partition"]("one_partition", True, artifact, len(ids))
            assert gate.passed and "look-up of word vectors" in gate.reason


def test_inspection_names_the_look_up(text_files: dict[str, TextFiles]) -> None:
    found = inspect(text_files["text_convolution"].path("_dynamic.tflite"))
    assert [(row.kind, row.looks_up) for row in found.outside] == [("GATHER", True)]
    _, _, findings = tables(found)
    assert next(iter(findings.columns[3].cells)) == "nothing: it looks up word vectors"
    (gpu,) = [report for report in found.delegates if report.delegate.startswith("GPU")]
    assert ("int32 values are not taken", "") in {(each.reason, each.change) for each in gpu.findings}


def test_inspection_compares_an_int8_file_on_texts(text_files: dict[str, TextFiles], tmp_path: Path) -> None:
    files = text_files["text_convolution"]
    path = files.path("_int8.tflite")
    listed = tmp_path / "texts.csv"
    listed.write_text("text,label\n" + "".join(f'"{text}",{number % 2}\n' for number, text in enumerate(texts()[4:12])))
    assert feeding.signature(path) == files.signature
    ids = _examples(ComparedOn(f"texts:{listed}", 5, seed=1), files.signature, None)
    assert (ids.shape, ids.dtype) == ((5, LENGTH), np.int32) and set(map(tuple, ids)) <= set(
        map(tuple, files.ids(texts()))
    )
    found = inspect(path, examples=ids).comparison
    assert found and found.images == 5 and len(found.layers) > 20
    assert (found.pixels, found.pixels_against) == ("ids as they are", "ids as they are")
    ratios = [layer.signal_to_noise for layer in found.layers if layer.signal_to_noise is not None]
    assert min(ratios) > 15
    with pytest.raises(RequestError, match="takes the ids of a text, which are not normalized"):
        inspect(path, examples=ids, normalization=parse("0,255"))
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(TfliteNetwork(path.read_bytes()).packed())
    with pytest.raises(VerifyError, match=r"holds no readable vocab\.txt"):
        feeding.signature(bare)


def test_mediapipe_names_the_classes_and_agrees_with_keras(text_files: dict[str, TextFiles]) -> None:
    cases = [(text_files[name], precision) for name, precision in CASES]
    paths = [files.path(f"_{precision}.tflite") for files, precision in cases]
    try:
        answers = runtimes.classify_texts("mediapipe 1.2.2", paths, texts())
    except MissingError as error:
        pytest.skip(str(error))
    assert len(cases) == len(answers) == 11 and len(texts()) > 100
    for (files, precision), answer in zip(cases, answers, strict=True):
        assert {tuple(scores) for scores in answer} == {CARD.classes}
        found = [list(scores.values()) for scores in answer]
        expected = files.probabilities(files.ids(texts()))
        np.testing.assert_allclose(found, expected, atol=TOLERANCES[precision], err_msg=files.model.name)
        host = tflite.predict(files.path(f"_{precision}.tflite"), [files.ids(texts())])
        np.testing.assert_allclose(found, host, atol=1e-6, err_msg=files.model.name)


def test_a_file_is_measured_with_ids_that_it_takes(
    text_files: dict[str, TextFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Apart, "call", lambda self, path, function, *arguments: function(*arguments))
    path = text_files["word_average"].path("_int8.tflite")
    ids = text_files["word_average"].ids(texts(2))
    answers = np.full((2, 4), 0.25)
    np.savez(tmp_path / "length.npz", ids=ids[:, 1:], answers=answers)
    with pytest.raises(RequestError, match=rf"length\.npz: has ids \[n, {LENGTH - 1}\], and .* takes ids: int32"):
        subject.of_file(path, ("tflite",), tmp_path / "length.npz")
    ids[0, 1] = len(text_files["word_average"].signature.pieces)
    np.savez(tmp_path / "large.npz", ids=ids, answers=answers)
    with pytest.raises(RequestError, match=r"large\.npz: has ids from 0 to 300, and the vocabulary of .* 0 to 299"):
        subject.of_file(path, ("tflite",), tmp_path / "large.npz")
