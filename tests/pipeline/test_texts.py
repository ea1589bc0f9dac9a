"""A run on texts, up to the student, with the folder of a small BERT as the teacher."""

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from tests.models import bert_folders
from tests.models.bert_folders import CONFIG, HEADS, WIDTH, write_folder
from tfkd.data import open_source
from tfkd.errors import RequestError
from tfkd.inputs.text.tensors import signature_of
from tfkd.inputs.text.vocabulary import SPECIAL, UNKNOWN
from tfkd.pipeline import compare, sweep
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.doctor import examine
from tfkd.pipeline.folders import STUDENT_MODEL
from tfkd.pipeline.run import begun, run_stages
from tfkd.pipeline.stages.export import EXPORT
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.student import STUDENT, best_folder
from tfkd.pipeline.stages.teacher import TEACHER
from tfkd.pipeline.stages.trainings import trainings_in
from tfkd.pipeline.stages.verify import VERIFY
from tfkd.pipeline.trained_weights import trained_weights
from tfkd.progress import Silent
from tfkd.recipe import AttentionMaps, Data, Distill, FineTune, Gates, HiddenStates, Recipe, Student, Teacher, Training
from tfkd.verification.diagnosis import probe_images

pytestmark = pytest.mark.usefixtures("started_tensorflow")

TOKENS = 12
HEAD = FineTune(epochs=0, head_epochs=40, head_learning_rate=0.05)
_RANDOM = bert_folders.tensors(inner=4 * WIDTH)
# With small kernels the features keep the words, so that a head learns the classes in seconds.
TENSORS = {
    name: 0.1 * value if name.startswith("encoder") and value.ndim == 2 else value for name, value in _RANDOM.items()
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT model, and 40 texts whose words tell their class."""
    home = tmp_path_factory.mktemp("texts")
    write_folder(home / "bert", TENSORS, CONFIG | {"intermediate_size": 4 * WIDTH}, modules=[])
    draw, lines = random.Random(1), ["text,label"]
    for number in range(40):
        words = [f"word{draw.randrange(5) + 25 * (number % 2)}" for _ in range(6)]
        lines.append(f"{' '.join(words)},{('low', 'high')[number % 2]}")
    (home / "texts.csv").write_text("\n".join(lines))
    return home


def recipe(home: Path, student: Student) -> Recipe:
    return Recipe(
        name="texts",
        data=Data(source=f"texts:{home / 'texts.csv'}", tokens=TOKENS),
        teachers=[
            Teacher(model=str(home / "bert"), fine_tune=FineTune(epochs=0, head_epochs=40, head_learning_rate=0.05))
        ],
        student=student,
        distill=Distill(views=2, training=Training(epochs=2)),
        gates=Gates(better_than_chance=False, diagnosis=False),  # of four test texts
    )


def finished(recipe: Recipe, home: Path, until: str = STUDENT.name) -> RunContext:
    with begun(recipe, Silent(), home / "runs") as context:
        run_stages(context, until, home / "bundles")
    return context


def test_texts_that_are_of_no_class_are_measured_without_another_training(run: RunContext, home: Path) -> None:
    (home / "strangers.csv").write_text(
        "text\n" + "\n".join(f"word{number} word{number + 1}" for number in range(7, 17))
    )
    overrides = ("export.reject.coverage=0.5", "export.temperature=auto", "export.tflite=fp32", "export.coreml=none")
    changed = run.recipe.with_(*overrides, f"data.outside=texts:{home / 'strangers.csv'}")
    context = finished(changed, home, VERIFY.name)
    assert context.stages[STUDENT.name].fingerprint == run.stages[STUDENT.name].fingerprint
    (file,) = context.result(VERIFY).artifacts
    assert file.rejection and file.rejection.test and file.rejection.outside
    assert file.rejection.validation.accepted >= 3 and file.rejection.outside.examples == 10
    assert file.calibration_error is not None and context.result(EXPORT).temperature


@pytest.fixture(scope="module")
def run(home: Path) -> RunContext:
    return finished(recipe(home, Student(weights="teacher", width=0.25)), home)


def student_of(run: RunContext) -> keras.Model:
    return keras.saving.load_model(best_folder(run) / STUDENT_MODEL)


def test_the_recipe_gets_what_depends_on_texts_and_teacher(run: RunContext, home: Path) -> None:
    folder, recipe = str(home / "bert"), run.recipe
    assert (recipe.student.model, recipe.student.weights, recipe.data.vocabulary) == ("word_average", folder, folder)
    assert recipe.teachers[0].tokens == TOKENS and recipe.teachers[0].weights == "pretrained"
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_the_teacher_is_a_frozen_bert_with_a_trained_head(run: RunContext) -> None:
    model = keras.saving.load_model(run.folder_of(TEACHER) / "teacher.keras")
    pieces = signature_of(model).pieces
    assert model.input_shape == (None, TOKENS) and len(pieces) == bert_folders.PIECES
    table = model.get_layer("backbone").get_layer("words").table
    np.testing.assert_array_equal(table, TENSORS["embeddings.word_embeddings.weight"])
    result = run.result(TEACHER)
    assert result.accuracy == 1.0 and result.image_size is None and result.seconds > 0
    assert run.result(SOFT_LABELS).views == 2 * len(run.data.train)


def test_the_students_vocabulary_is_the_teachers_as_far_as_the_texts_use_it(run: RunContext) -> None:
    pieces = run.data.reading.signature(run.recipe.data).pieces
    words = {word for number in range(len(run.data.train)) for word in run.data.train.load(number).split()}
    assert {piece for piece in pieces if piece.startswith("word")} == words
    assert pieces[: len(SPECIAL)] == SPECIAL and signature_of(student_of(run)).pieces == pieces


def test_student_and_control_are_trained_from_the_teachers_vectors(run: RunContext) -> None:
    model = student_of(run)
    assert model.get_layer("words").table.shape[1] == WIDTH and model.get_layer("hidden").units == 64
    pieces, theirs = signature_of(model).pieces, TENSORS["embeddings.word_embeddings.weight"]
    known = [f"word{number}" for number in range(46) if f"word{number}" in pieces]
    rows = np.asarray(model.get_layer("words").table)[[pieces.index(piece) for piece in known]]
    start = theirs[[len(SPECIAL) + int(piece.removeprefix("word")) for piece in known]]
    assert 0 < np.abs(rows - start).max() < 0.1
    unused = np.asarray(model.get_layer("words").table)[pieces.index("##q")]
    np.testing.assert_allclose(unused, theirs[SPECIAL.index(UNKNOWN)], atol=0.01)
    for kind in ("control", "student"):
        (training,) = trainings_in(run, kind).trainings
        assert training.epochs == 2 and training.parameters == model.count_params()


def test_the_doctor_speaks_of_a_frozen_teacher_of_texts_and_says_nothing_twice(home: Path) -> None:
    def found(recipe: Recipe) -> list[str]:
        return [finding.text for finding in examine(recipe, context.data, home / "doctor")]

    with begun(recipe(home, Student(weights="teacher", width=0.25)), Silent(), home / "doctor") as context:
        of_bert, bert = context.recipe, str(home / "bert")
    texts = found(of_bert)
    assert f"{bert} stays frozen, a head on it is trained; the run measures its accuracy" in texts
    assert sum(f"input {TOKENS} pieces" in text for text in texts) == 2 and not any(
        "evidence" in text for text in texts
    )
    broken = str(write_folder(home / "broken", {}, CONFIG | {"hidden_size": -3}))
    texts = found(of_bert.with_(f"teachers.0.model={broken}", f"student.weights={broken}"))
    assert sum("hidden_size is -3" in text for text in texts) == 1


def test_the_advice_of_word_vectors_fits_the_teacher(home: Path) -> None:
    (of_teacher,) = trained_weights(Student(model="word_average"), Teacher(model=str(home / "bert")))
    (of_package,) = trained_weights(Student(model="word_average"), Teacher(predictions="teacher.csv"))
    assert of_teacher.overrides == ("student.weights=teacher",)
    assert of_package.overrides == ("student.weights=minilm_l6", "data.vocabulary=minilm_l6")


def test_a_teacher_is_probed_on_each_text_of_folds_once(home: Path) -> None:
    data = open_source(Data(source=f"texts:{home / 'texts.csv'}", tokens=TOKENS, folds=2), 1)
    examples, labels = probe_images(data, data.reading.signature(Data(source="", kind="text")), 1)
    assert len(examples) == len(labels) == len(data.train)


def test_a_transformer_learns_from_layers_of_the_same_teacher(run: RunContext, home: Path) -> None:
    alike = Student(model="text_transformer", width=0.25, heads=HEADS, layers=1, weights="teacher", teacher_layers=[1])
    losses = [
        HiddenStates(teacher_tap="layer_1_hidden"),
        AttentionMaps(teacher_tap="layer_1_attention_logits"),
    ]
    distill = Distill(losses=losses, views=1, training=Training(epochs=1), control=False)
    other = finished(recipe(home, alike).model_copy(update={"distill": distill}), home)
    assert other.stages["teacher"].folder == run.stages["teacher"].folder
    model = student_of(other)
    kernel = TENSORS["encoder.layer.1.attention.self.value.weight"].T
    assert 0 < np.abs(np.asarray(model.get_layer("layer_0_value").kernel) - kernel).max() < 0.1


def test_predictions_by_text_fill_a_store(home: Path) -> None:
    lines = (home / "texts.csv").read_text().splitlines()[1:]
    rows = [f"{text},{'5,-5' if label == 'high' else '-5,5'}" for text, label in (line.split(",") for line in lines)]
    (home / "predicted.csv").write_text("\n".join(["text,high,low", *rows]))
    taught = recipe(home, Student(width=0.25)).model_copy(
        update={
            "teachers": [Teacher(predictions=str(home / "predicted.csv"))],
            "distill": Distill(targets="image", training=Training(epochs=1), control=False),
        }
    )
    run = finished(taught, home, SOFT_LABELS.name)
    assert run.result(TEACHER).accuracy == 1.0 and run.result(SOFT_LABELS).views == len(run.data.train)


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (Student(model="mobilenet_v2"), r"mobilenet_v2 takes images, texts:.*texts\.csv are texts; use word_average"),
        (Student(weights="imagenet"), "word_average starts from a BERT model"),
        (Student(layers=3), r"word_average does not read student\.layers"),
    ],
)
def test_a_student_that_does_not_fit_is_refused_before_the_teacher_is_trained(
    student: Student, message: str, home: Path, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=message), begun(recipe(home, student), Silent(), tmp_path) as context:
        run_stages(context, TEACHER.name, tmp_path)
    assert not list(tmp_path.rglob("head.npz"))


def test_a_sweep_names_a_student_that_cannot_be_built_before_it_trains(home: Path, tmp_path: Path) -> None:
    wrong = recipe(home, Student(model="text_transformer", weights="teacher"))
    with pytest.raises(RequestError, match=r"^layers=2: text_transformer has hidden states of 128 with 2 heads"):
        sweep.sweep({"layers=2": wrong}, Silent(), tmp_path)
    assert not list(tmp_path.rglob("head.npz"))


def test_a_comparison_has_the_teacher_with_int8_weights_and_no_compressed_student(
    run: RunContext,
) -> None:
    said: list[str] = []
    progress: Any = SimpleNamespace(say=said.append)
    heard = replace(run, progress=progress)
    assert [variant.name for variant in compare.variants(heard)] == ["teacher dynamic", "control fp32"]
    (line,) = said
    assert line.startswith(
        "student QAT, pruned, clustered: left out; most weights of students of texts are word vectors"
    )
