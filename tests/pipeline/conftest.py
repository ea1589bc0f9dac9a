"""What the tests of whole runs share."""

from collections.abc import Iterator

import keras
import pytest


@pytest.fixture(scope="module")
def started_tensorflow() -> Iterator[None]:
    """Lets a run in this process take TensorFlow as other tests have started it: its threads cannot be set again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfkd.training.loop.prepare_tensorflow", lambda threads, seed: keras.utils.set_random_seed(seed))
        yield
