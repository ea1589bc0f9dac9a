"""A run whose files give no label where they are not sure, with strangers and a temperature."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import running
from tests.bundle.changes import failures
from tests.data.photos import fill_tinted
from tests.pipeline.test_run import CLASSES, RECIPE
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.verification import verify

pytestmark = pytest.mark.slow

REJECT = (
    *("data.outside=folder:strangers", "data.validation_share=0.4", "data.test_share=0.3", "export.temperature=auto"),
    *("export.reject.max_error=0.1", "export.tflite=fp32,int8", "export.coreml=mlmodel"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with noisy photos of three colours, some labelled wrongly, strangers without noise, and the recipe."""
    home = tmp_path_factory.mktemp("rejecting")
    fill_tinted(home / "photos", dict.fromkeys(CLASSES, 60))
    for name, other in zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True):
        for number in range(12):  # a fifth of the labels are wrong, so that a threshold is needed
            photo = home / "photos" / name / f"{number:02d}.png"
            photo.rename(home / "photos" / other / f"wrong {name} {number}.png")
    (home / "strangers").mkdir()
    for number in range(20):
        Image.fromarray(np.full((36, 44, 3), 12 * number, np.uint8)).save(home / "strangers" / f"{number}.png")
    (home / "recipe.py").write_text(RECIPE)
    return home


def read(home: Path) -> Manifest:
    return Manifest.model_validate_json((home / "runs/tiny/report/bundle/manifest.json").read_bytes())


def test_every_file_is_calibrated_and_measured_on_strangers(home: Path) -> None:
    code, output, errors = running.run(home, "run", "recipe.py", *REJECT)
    assert code in (0, 1), errors
    manifest = read(home)
    assert manifest.student.output_temperature and "temperature" in output
    gates = {gate.name: gate for gate in manifest.gates}
    for artifact in manifest.artifacts:
        found, name = artifact.rejection, artifact.path.rpartition("/")[2]
        assert found and found.outside and found.outside.examples == 20 and found.test
        assert found.validation.examples == manifest.data.splits["validation"]
        assert gates[f"reject/{name}"].verdict in ("passed", "not judged")
        assert artifact.calibration_error is not None
        assert artifact.delegation is None or artifact.delegation.partitions == 1
    assert not [check for check in failures(verify(home / "runs/tiny/report/bundle")) if check.name == "numbers"]


def test_another_limit_trains_nothing_again(home: Path) -> None:
    _, output, _ = running.run(home, "run", "recipe.py", *REJECT, "gates.max_outside_accepted=0.0")
    assert "export: reused" in output and "verify: reused" in output and "student: reused" in output
    gates = {gate.name: gate for gate in read(home).gates}
    assert "max_outside_accepted/tiny_int8.tflite" in gates
    Image.fromarray(np.full((36, 44, 3), 250, np.uint8)).save(home / "strangers" / "another.png")
    _, output, _ = running.run(home, "run", "recipe.py", *REJECT)
    assert "export: reused" in output and "verify: reused" not in output and "data.outside" in output
