"""What bundles are made of here: the files that the export tests write."""

from tests.writers.conftest import exported as exported
from tests.writers.conftest import images as images
from tests.writers.conftest import model as model
