"""Settings of a training."""

from tfkd.recipe import FineTune, Teacher, Training


def test_a_training_without_settings_is_the_one_that_the_documents_describe() -> None:
    assert (Training().epochs, Training().batch_size, Training().learning_rate) == (30, 64, 2e-3)


def test_what_is_not_given_is_as_an_mlp_is_usually_trained() -> None:
    usual, changed = Teacher(model="mlp").fine_tune, Teacher(model="mlp", fine_tune=FineTune(epochs=20)).fine_tune
    assert usual and changed == usual.model_copy(update={"epochs": 20})
