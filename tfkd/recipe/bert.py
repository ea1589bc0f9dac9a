"""Models of the BERT family in recipes: a name, or the folder that save_pretrained wrote."""

import json
from pathlib import Path

NAMED = ("minilm_l6",)  # those of tfkd.inputs.text.bert_folders
_FILES = ("config.json", "vocab.txt", "model.safetensors")
_CLASSIFIER = "ForSequenceClassification"
_LARGEST = 1 << 20  # bytes of a configuration


def is_bert(model: str) -> bool:
    """Returns whether `model` names a BERT-family model, or is a folder with files of one."""
    if model in NAMED:
        return True
    if not model or ":" in model:
        return False
    folder = Path(model).expanduser()
    return any((folder / name).is_file() for name in _FILES) and not (folder / "saved_model.pb").is_file()


def is_classifier(model: str) -> bool:
    """Returns whether a BERT-family model was fine-tuned as a classifier, by its configuration.

    The configuration is checked when the model is opened; here a damaged one describes no classifier.
    """
    try:
        with (Path(model).expanduser() / "config.json").open("rb") as stream:
            architectures = json.loads(stream.read(_LARGEST)).get("architectures")
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
    return isinstance(architectures, list) and any(str(name).endswith(_CLASSIFIER) for name in architectures)
