"""vocab.txt of a bundle of texts: the vocabulary of the student's signature."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.bundle.manifests import tiny_manifest
from tfkd.bundle.golden import Golden, read
from tfkd.bundle.manifest import read_manifest
from tfkd.bundle.writing import assemble
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature as of_image
from tfkd.inputs.text import KIND
from tfkd.inputs.text.tensors import signature
from tfkd.inputs.text.vocabulary import SPECIAL
from tfkd.verification import VerifyError

TEXT = signature(9, (*SPECIAL, "a", "##b"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of texts without a model."""
    manifest = tiny_manifest(["x", "y"])
    manifest.student = manifest.student.model_copy(update={"image_size": None, "signature": TEXT})
    ids = KIND.from_memory(["ab a", "b"], TEXT)
    assemble(tmp_path, manifest, Golden(ids, np.array([0, -1]), {"keras": np.full((2, 2), 0.5, np.float32)}))
    return tmp_path


def test_a_manifest_is_read_with_the_vocabulary_beside_it(bundle: Path) -> None:
    assert read_manifest(bundle).signature == TEXT
    assert (bundle / "vocab.txt").read_text() == "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n"
    assert "##b" not in (bundle / "manifest.json").read_text()
    assert (bundle / "golden/000.txt").read_text() == "ab a"


def test_golden_texts_are_listed_with_their_ids(bundle: Path) -> None:
    index = bundle / "golden/golden.json"
    found = json.loads(index.read_text())
    assert [entry["ids"] for entry in found["images"]] == [[2, 4, 5, 4, 3, 0, 0, 0, 0], [2, 1, 3, *[0] * 6]]
    assert read(bundle, ["x", "y"], TEXT).images.tolist() == [entry["ids"] for entry in found["images"]]
    found["images"][1]["ids"][1] = 4
    index.write_text(json.dumps(found))
    with pytest.raises(VerifyError, match=r"lists other ids of 001\.txt than those that its content gives"):
        read(bundle, ["x", "y"], TEXT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", "vocab.txt has 5 pieces, which does not fit the signature"),
        ("a\n", "lacks"),
    ],
)
def test_another_vocabulary_is_refused(bundle: Path, content: str | None, message: str) -> None:
    (bundle / "vocab.txt").unlink()
    if content is not None:
        (bundle / "vocab.txt").write_text(content)
    with pytest.raises(RequestError, match=message):
        read_manifest(bundle)


def test_a_bundle_of_images_has_none(tmp_path: Path) -> None:
    manifest = tiny_manifest(["x", "y"])
    assert manifest.signature == of_image(32) and manifest.with_vocabulary(tmp_path).signature == of_image(32)
