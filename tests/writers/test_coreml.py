import json
from pathlib import Path
from typing import Any

import coremltools as ct
import pytest

from tests.writers.conftest import CARD, DATA, SIZE, Exported
from tfkd.errors import RequestError
from tfkd.files import content_digest
from tfkd.writers.coreml import write_coreml


@pytest.fixture(params=["tiny.mlmodel", "tiny.mlpackage"])
def specification(request: pytest.FixtureRequest, exported: Exported) -> Any:
    return ct.utils.load_spec(str(exported.path(request.param)))


def test_takes_an_rgb_image_and_names_the_class(specification: Any) -> None:
    (image,) = specification.description.input
    assert (image.name, image.type.imageType.width, image.type.imageType.height) == ("image", SIZE, SIZE)
    assert image.type.imageType.colorSpace == ct.proto.FeatureTypes_pb2.ImageFeatureType.RGB
    assert {output.name for output in specification.description.output} == {"classLabel", "classProbability"}
    assert specification.description.predictedFeatureName == "classLabel"
    assert specification.description.predictedProbabilitiesName == "classProbability"


def test_it_names_its_author(specification: Any) -> None:
    metadata = specification.description.metadata
    assert (metadata.author, metadata.license, metadata.versionString) == ("Ada", "MIT", "3")
    assert metadata.shortDescription == "Tells cats from dogs"


def test_it_names_its_source(specification: Any) -> None:
    found = dict(specification.description.metadata.userDefined)
    assert found["teacher"] == "large + larger"
    assert found["data_fingerprint"] == DATA
    assert found["recipe_fingerprint"] == CARD.origin["recipe_fingerprint"]
    assert found["precision"] == ("fp32" if specification.HasField("neuralNetworkClassifier") else "fp16")
    assert not any("date" in name for name in found)


def test_neural_network_is_whole(exported: Exported) -> None:
    """After `rename_feature` alone the probabilities name a blob that no layer makes: such a file does not compile."""
    specification = ct.utils.load_spec(str(exported.path(".mlmodel")))
    network = specification.neuralNetworkClassifier
    assert network.layers[-1].output == ["classProbability"]
    assert network.labelProbabilityLayerName == "classProbability"
    assert list(network.stringClassLabels.vector) == list(CARD.classes)
    assert specification.specificationVersion == 4, "iOS 13"


def test_program_is_fp16_for_ios_15(exported: Exported) -> None:
    path = exported.path(".mlpackage")
    specification = ct.utils.load_spec(str(path))
    assert specification.specificationVersion == 6, "iOS 15"
    weights = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    kernels = sum(weight.shape.num_elements() for weight in exported.model.weights if len(weight.shape) > 1)
    assert 2 * kernels < weights.stat().st_size < 4 * kernels


def test_opening_a_package_does_not_change_it(exported: Exported) -> None:
    """coremltools writes Manifest.json again when it opens a package; the bundle's checksums must outlive that."""
    path = exported.path(".mlpackage")
    before = content_digest(path)
    assert ct.models.MLModel(str(path), skip_model_load=True).author == "Ada"
    assert content_digest(path) == before


def test_equal_exports_give_equal_bytes(exported: Exported, tmp_path: Path) -> None:
    for kind in ("mlmodel", "mlpackage"):
        again = tmp_path / f"tiny.{kind}"
        write_coreml(exported.model, kind, again, CARD)
        first = exported.path(f".{kind}")
        for path in [again, *again.rglob("*")] if again.is_dir() else [again]:
            if path.is_file():
                assert path.read_bytes() == (first / path.relative_to(again)).read_bytes(), path
    items = json.loads((tmp_path / "tiny.mlpackage" / "Manifest.json").read_text())
    assert items["rootModelIdentifier"] in items["itemInfoEntries"]


def test_unknown_format(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no Core ML format 'mlpack'\. Did you mean 'mlpackage'"):
        write_coreml(exported.model, "mlpack", tmp_path / "x", CARD)
