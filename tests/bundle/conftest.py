"""What bundles are made of here: the files that the export tests write, and those that the benchmark measures."""

from tests.benchmark.conftest import files as files
from tests.benchmark.conftest import shipped as shipped
from tests.writers.conftest import exported as exported
from tests.writers.conftest import images as images
from tests.writers.conftest import model as model
