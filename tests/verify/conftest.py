"""What verification has to judge: the files that the export tests write."""

from tests.export.conftest import CARD as CARD
from tests.export.conftest import SIZE as SIZE
from tests.export.conftest import Exported as Exported
from tests.export.conftest import exported as exported
from tests.export.conftest import images as images
from tests.export.conftest import model as model
