import numpy as np
import pytest

from tests.distill import small


@pytest.fixture(scope="session")
def batch() -> tuple[np.ndarray, np.ndarray]:
    return small.images_and_labels()
