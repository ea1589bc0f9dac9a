"""The bundle of two real files that the benchmark measures."""

from tests.benchmark.conftest import files as files
from tests.benchmark.conftest import shipped as shipped
