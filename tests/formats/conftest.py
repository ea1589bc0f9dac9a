from tests.writers.conftest import images as images
