"""Settings of a training."""

from tfkd.recipe import Training


def test_a_training_without_settings_is_the_one_that_the_documents_describe() -> None:
    assert (Training().epochs, Training().batch_size, Training().learning_rate) == (30, 64, 2e-3)
