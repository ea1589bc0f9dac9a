"""What verification has to judge: the files that the export tests write."""

from tests.writers.conftest import CARD as CARD
from tests.writers.conftest import SIGNATURE as SIGNATURE
from tests.writers.conftest import SIZE as SIZE
from tests.writers.conftest import Exported as Exported
from tests.writers.conftest import exported as exported
from tests.writers.conftest import images as images
from tests.writers.conftest import model as model
