"""Initial weights of a student that are none are refused before a teacher is trained."""

import zipfile
from pathlib import Path

import pytest

from tfkd.errors import RequestError
from tfkd.models import require_weights
from tfkd.recipe import Student


@pytest.mark.parametrize("weights", ["auto", "none", "imagenet", "teacher", f"imagenet@sha256:{'0' * 64}"])
def test_known_words_pass(weights: str) -> None:
    require_weights(Student(weights=weights))


def test_files_of_weights_pass_by_their_beginnings(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "own.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    (tmp_path / "a.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(8))
    (tmp_path / "b.pth").write_bytes(b"\x80\x02" + bytes(8))
    for model in ("mobilenet_v2", "package.module:build"):
        for name in ("own.keras", "a.weights.h5"):
            require_weights(Student(model=model, weights=str(tmp_path / name)))
    require_weights(Student(model="mobilenet_v2", weights=str(tmp_path / "b.pth")))
    with pytest.raises(RequestError, match=r"Give a \.weights\.h5 or \.keras file of its own, the folder"):
        require_weights(Student(model="package.module:build", weights=str(tmp_path / "b.pth")))


@pytest.mark.parametrize("model", ["mobilenet_v2", "word_average", "package.module:build"])
@pytest.mark.parametrize("name", ["README.md", "text.keras", "empty.weights.h5", "folder", "bert"])
def test_anything_else_is_refused_in_one_line(tmp_path: Path, model: str, name: str) -> None:
    for file in ("README.md", "text.keras"):
        (tmp_path / file).write_text("# weights")
    (tmp_path / "empty.weights.h5").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert/vocab.txt").touch()
    student = Student(model=model, weights=str(tmp_path / name))
    if (model, name) == ("word_average", "bert"):
        require_weights(student)
        return
    with pytest.raises(RequestError, match=r"are no weights that it can start from\. Give .* or none\.$") as error:
        require_weights(student)
    assert str(error.value).startswith(f"weights={tmp_path / name} of {model} are no weights")
