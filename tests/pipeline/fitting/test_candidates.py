"""The candidates of a fit."""

import pytest

from tfkd.errors import RequestError
from tfkd.models import students_of
from tfkd.pipeline.fitting.candidates import candidates_of, settings_of
from tfkd.recipe import Data, Distill, Fit, Recipe, Student, Teacher
from tfkd.recipe.fit import FAMILIES

IMAGE_STUDENTS = list(students_of("image"))


def recipe(size: int = 96, generations: int = 1, **student: object) -> Recipe:
    return Recipe(
        name="r",
        data=Data(source="folder:x", image_size=size),
        teachers=[Teacher(model="a:b")],
        student=Student(**{"model": "mobilenet_v3_small", "weights": "none", **student}),
        distill=Distill(generations=generations),
    )


def test_candidates_are_all_combinations() -> None:
    settings = Fit(families=["mobilenet_v2", "a:b"], widths=[0.5, 1.0], sizes=[32, 64], activations=["relu", "silu"])
    found = candidates_of(recipe(), settings)
    assert len({each.name for each in found}) == len(found) == 16
    assert found[0].name == "mobilenet_v2 ×0.5, 32 px, relu"
    changed = found[0].recipe(recipe().model_copy(update={"fit": settings}))
    assert (changed.student.width, changed.data.image_size, changed.fit) == (0.5, 32, None)
    assert changed.student.dropout == recipe().student.dropout


def test_every_student_can_be_a_candidate() -> None:
    found = candidates_of(recipe(), Fit(families=IMAGE_STUDENTS, widths=[1.0], sizes=[96]))
    assert [each.student.model for each in found] == IMAGE_STUDENTS
    assert set(FAMILIES) <= set(IMAGE_STUDENTS)


@pytest.mark.parametrize(("size", "sizes"), [(96, {64, 96}), (160, {112, 160}), (32, {32}), (224, {144, 224})])
def test_the_default_sizes_are_those_of_the_recipe_and_two_thirds(size: int, sizes: set[int]) -> None:
    found = candidates_of(recipe(size), Fit())
    assert {each.input_size for each in found} == sizes
    assert {each.student.activation for each in found} == {"relu6"}


def test_the_recipes_own_student_is_a_default_family() -> None:
    assert candidates_of(recipe(model="own:build"), Fit())[0].student.model == "own:build"


def test_weights_of_one_network_are_left_out_for_others() -> None:
    settings = Fit(families=["squeezenet_1_1", "mobilenet_v2"], widths=[0.5, 1.0], sizes=[96])
    found = candidates_of(recipe(model="squeezenet_1_1", weights="imagenet"), settings)
    assert [each.student.weights for each in found] == ["none", "imagenet", "none", "none"]


def test_automatic_weights_are_chosen_for_each_candidate() -> None:
    settings = Fit(families=["squeezenet_1_1", "mobilenet_v2"], widths=[0.5, 1.0], sizes=[96])
    assert {each.student.weights for each in candidates_of(recipe(weights="auto"), settings)} == {"auto"}


def test_wrong_requests_are_named() -> None:
    with pytest.raises(RequestError, match=r"fit\.families: there is no student 'mobilenet_v9'\. Did you mean"):
        candidates_of(recipe(), Fit(families=["mobilenet_v9"]))
    with pytest.raises(RequestError, match=r"640 candidates, which is more than 500"):
        candidates_of(
            recipe(),
            Fit(
                families=IMAGE_STUDENTS,
                widths=[0.1 * n for n in range(1, 11)],
                sizes=[32, 48, 64, 80],
                activations=["relu", "silu"],
            ),
        )
    with pytest.raises(RequestError, match=r"fit\.layers is not read for data of kind 'image' \(folder:x\)"):
        candidates_of(recipe(), Fit(layers=[2]))
    with pytest.raises(RequestError, match=r"word_average takes texts, folder:x are images"):
        candidates_of(recipe(), Fit(families=["word_average"]))
    with pytest.raises(RequestError, match=r"distill\.generations = 2"):
        candidates_of(recipe(generations=2), Fit())


def recipe_of_texts(**student: object) -> Recipe:
    data = Data(source="texts:a.csv")
    return Recipe(name="r", data=data, teachers=[Teacher(model="a:b")], student=Student(**student))


def test_candidates_of_texts_are_families_and_widths_and_of_a_transformer_layers() -> None:
    texts = recipe_of_texts(weights="teacher", layers=3, heads=4, dropout=0.3, model="text_transformer")
    assert [each.name for each in candidates_of(texts, Fit(widths=[0.5, 1.0], layers=[1, 2]))] == [
        *(f"text_transformer ×{width}, {layers}" for width in ("0.5", "1") for layers in ("1 layer", "2 layers")),
        *("word_average ×0.5", "word_average ×1", "text_convolution ×0.5", "text_convolution ×1"),
    ]
    first, *_, last = candidates_of(texts, Fit(widths=[1.0], layers=[3, 4]))
    assert candidates_of(texts, Fit(widths=[1.0], layers=[3, 4]))[1].student.teacher_layers == []
    assert first.student == texts.student and last.student == Student(
        model="text_convolution", weights="teacher", dropout=0.3
    )
    assert last.recipe(texts).data == texts.data


def test_a_file_of_weights_is_that_of_one_student_of_texts() -> None:
    found = candidates_of(recipe_of_texts(weights="a.weights.h5"), Fit(widths=[0.5, 1.0], layers=[1]))
    assert {each.name: each.student.weights for each in found if each.student.weights != "none"} == {
        "word_average ×1": "a.weights.h5"
    }


def test_texts_refuse_what_is_of_images() -> None:
    for wrong in (Fit(sizes=[64]), Fit(activations=["relu"])):
        with pytest.raises(RequestError, match=r"is not read for data of kind 'text' \(texts:a\.csv\); leave it out"):
            candidates_of(recipe_of_texts(), wrong)
    with pytest.raises(RequestError, match=r"mobilenet_v2 takes images, texts:a\.csv are texts"):
        candidates_of(recipe_of_texts(), Fit(families=["mobilenet_v2"]))


@pytest.mark.parametrize(
    ("texts", "stated", "ships"), [(False, "auto", "int8"), (True, "auto", "dynamic"), (True, "int8", "int8")]
)
def test_what_ships_depends_on_the_data(texts: bool, stated: str, ships: str) -> None:
    own = recipe_of_texts() if texts else recipe()
    assert settings_of(own.model_copy(update={"fit": Fit(ships=stated)})).ships == ships  # type: ignore[arg-type]
