"""Settings of a teacher."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tfkd.errors import RequestError
from tfkd.labels import read_labels
from tfkd.recipe.base import AUTO, Block, Rendering, Separated
from tfkd.recipe.bert import is_bert, is_classifier
from tfkd.recipe.training import FineTune

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
ONNX = ".onnx"
MLP = "mlp"  # the teacher of tables that is trained here
PRETRAINED = "pretrained"  # weights in the folder of a BERT model
_OF_PREDICTIONS = {"predictions", "labels", "share", "domain"}
_OF_ONNX_ALONE = {"output", "class_embeddings", "logit_scale"}
_NOT_OF_ONNX = {"predictions", "weights", "batch_norm", "tokens", "vocabulary"}
_OF_IMAGES = {"image_size", "normalization", "batch_norm", "rendering"}
_OF_TABLES = {"epochs": 100, "learning_rate": 2e-3, "batch_size": 32, "weight_decay": 0.02}  # from random weights
_ON_FEATURES = {"head_epochs": 100, "head_learning_rate": 1e-2}  # of a head on features that are computed once
_HEAD = {**_ON_FEATURES, "epochs": 0, "auto": True}
_OF_BERT = {**_ON_FEATURES, "learning_rate": 5e-5}
_TUNED_BERT = {"epochs": 3, "auto": True}


def is_model_file(model: str) -> bool:
    """Returns whether `model` is the path of a model file or SavedModel, not a name or `package.module:function`."""
    if ":" in model:
        return False
    path = Path(model)
    is_there = path.is_file() or (path / "saved_model.pb").is_file()
    return is_there or model.lower().endswith((*MODEL_SUFFIXES, ONNX)) or "/" in model


def _is_read_alone(fields: dict[str, Any]) -> bool:
    """Returns whether a teacher is a file that brings all there is: predictions, or an ONNX file."""
    return bool(fields.get("predictions")) or fields.get("model", "").lower().endswith(ONNX)


def _usual_weights(fields: dict[str, Any]) -> str:
    if _is_read_alone(fields):
        return "none"
    if is_bert(fields.get("model", "")):
        return PRETRAINED
    return "none" if fields.get("model") == MLP else "imagenet"


def _usual_tuning(fields: dict[str, Any]) -> FineTune | None:
    if fields.get("predictions"):
        return None
    model = fields.get("model", "")
    if model.lower().endswith(ONNX):
        return FineTune.model_validate(_HEAD)
    if is_bert(model):
        return None if is_classifier(model) else FineTune.model_validate({**_HEAD, **_OF_BERT})
    if model == MLP:
        return FineTune.model_validate(_OF_TABLES)
    return None if is_model_file(model) else FineTune()


def _completed(tuning: FineTune, model: str) -> FineTune:
    """Sets what is not given as such a model is usually trained: the rates for images would not do for them."""
    usual = _OF_BERT if is_bert(model) else _OF_TABLES if model == MLP else {}
    return tuning.model_copy(update={name: usual[name] for name in usual.keys() - tuning.model_fields_set})


class Teacher(Block):
    """A heavy classifier with its own input size and normalisation."""

    model: str = Field(
        "",
        description="name from `tfkd list teachers`, model file (Keras or .onnx), folder of a BERT model, or "
        "package.module:function",
    )
    predictions: str | None = Field(
        None,
        description="in place of a model: a .csv, .npz or .parquet file with the logits or probabilities of each file",
    )
    weights: str = Field(
        default_factory=lambda fields: _usual_weights(fields),
        description="imagenet, none, or the path of a weights file; of a BERT model pretrained (those in its folder) "
        "or none; default: imagenet or pretrained, of mlp none",
    )
    image_size: int | None = Field(None, ge=32, le=1024, description="side of its input, pixels; default: the family's")
    tokens: int | None = Field(
        None, ge=4, le=512, description="length of its input, in pieces of words of a text; default: data.tokens"
    )
    vocabulary: str | None = Field(
        None, description="a vocab.txt, or a folder with one, of a Keras model over ids; a BERT model has its own"
    )
    fine_tune: FineTune | None = Field(
        default_factory=lambda fields: _usual_tuning(fields),
        description="None uses the weights unchanged, the default for a Keras file; auto: no more training than helps",
    )
    normalization: str = Field(
        "none", description="pixel values that a model of your own expects: none, tf, torch, caffe or numbers"
    )
    labels: list[str] | None = Field(
        None, min_length=1, description="classes in the order of its outputs: a list, or the path of a labels file"
    )
    classes: Annotated[list[str] | None, Separated] = Field(None, min_length=1, description="classes of a specialist")
    batch_norm: Literal["moving", "batch"] = Field(
        "moving", description="BatchNorm statistics at inference: those of its training, or of each batch"
    )
    share: float = Field(1.0, gt=0, description="weight in an ensemble, relative to the other teachers")
    domain: str | None = Field(
        None,
        min_length=1,
        description="the examples that it knows: a pattern of their paths in the source, such as xray/*; None: all",
    )
    rendering: Rendering = "rgb"
    output: str | None = Field(
        None, min_length=1, description="output or inner tensor of an ONNX file to use; default: its only output"
    )
    class_embeddings: str | None = Field(
        None, description="an .npy file with one row per class, which an ONNX image encoder is compared with (CLIP)"
    )
    logit_scale: float = Field(100.0, gt=0, description="factor of the cosines with class_embeddings")

    @field_validator("fine_tune", mode="before", json_schema_input_type=FineTune | Literal["auto"] | None)
    @classmethod
    def _read_auto(cls, value: Any, info: ValidationInfo) -> Any:
        if value != AUTO:
            return value
        if _is_read_alone(info.data):
            return _HEAD
        return _TUNED_BERT if is_bert(info.data.get("model", "")) else {"auto": True}

    @field_validator("fine_tune")
    @classmethod
    def _as_usual(cls, value: FineTune | None, info: ValidationInfo) -> FineTune | None:
        return _completed(value, info.data.get("model", "")) if value else value

    @property
    def weights_file(self) -> str | None:
        """The path of the file of initial weights, or None."""
        return None if self.weights in ("none", "imagenet") or self.is_bert else self.weights

    @field_validator("labels", mode="before")
    @classmethod
    def _read_labels(cls, value: Any) -> Any:
        """Reads a labels file, so that a stored recipe holds the names themselves."""
        if not isinstance(value, str):
            return value
        try:
            return list(read_labels(Path(value)))
        except RequestError as error:
            raise ValueError(str(error).removesuffix(".")) from None

    @model_validator(mode="after")
    def _one_source(self) -> "Teacher":
        if bool(self.model) is (self.predictions is not None):
            raise ValueError("needs either a model or a file of predictions")
        for name in sorted(self._changed & self._unread):
            raise ValueError(f"{self.name} is read without {name}; leave {name} out")
        if self.is_bert and self.weights not in (PRETRAINED, "none"):
            raise ValueError(
                f"{self.model} has its weights in its folder; weights must be {PRETRAINED} or none, not {self.weights}"
            )
        if self.class_embeddings is None and "logit_scale" in self._changed:
            raise ValueError("reads logit_scale only with class_embeddings; set both or leave logit_scale out")
        return self

    @property
    def _changed(self) -> set[str]:
        """The fields whose values are not the defaults."""
        known = {"model": self.model, "predictions": self.predictions}
        return {
            name
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.get_default(call_default_factory=True, validated_data=known)
        }

    @property
    def _unread(self) -> set[str]:
        """The fields that a teacher of this kind does not read."""
        if self.predictions is not None:
            return set(type(self).model_fields) - _OF_PREDICTIONS
        if self.is_onnx:
            return _NOT_OF_ONNX
        if self.is_bert:
            return {*_OF_ONNX_ALONE, *_OF_IMAGES, "vocabulary"}
        return _OF_ONNX_ALONE if self.vocabulary is None else {*_OF_ONNX_ALONE, *_OF_IMAGES}

    @property
    def name(self) -> str:
        """The model or the file of predictions, for messages."""
        return self.predictions or self.model

    @property
    def is_bert(self) -> bool:
        """Whether the model is of the BERT family, by a name or by its folder."""
        return is_bert(self.model)

    @property
    def own_vocabulary(self) -> str | None:
        """Where its vocabulary is, if it is known: a file, a folder, or the name of a BERT model."""
        return self.model if self.is_bert else self.vocabulary

    @property
    def is_tuned(self) -> bool:
        """Whether a run trains it, or a head on it, so that its predictions of training images are of known ones."""
        return self.fine_tune is not None

    @property
    def is_onnx(self) -> bool:
        """Whether the model is an ONNX file."""
        return self.model.lower().endswith(ONNX) and ":" not in self.model

    @model_validator(mode="after")
    def _one_meaning_of_outputs(self) -> "Teacher":
        if self.labels and self.classes:
            raise ValueError("has labels and classes; set labels for all outputs in order, or classes for a specialist")
        return self
