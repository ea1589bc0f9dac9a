"""ResNets for small images."""

import pytest

from tests.models.families import TeacherFacts
from tests.models.teachers import untrained
from tfkd.errors import RequestError
from tfkd.models import build_teacher
from tfkd.recipe import Teacher

FACTS = {"resnet20": TeacherFacts(size=32)}


def test_small_resnet_is_the_papers() -> None:
    assert build_teacher(untrained("resnet20"), classes=10, seed=1).count_params() == pytest.approx(0.27e6, rel=0.03)
    with pytest.raises(RequestError, match="no published weights"):
        build_teacher(Teacher(model="resnet20", weights="imagenet"), classes=10, seed=1)
