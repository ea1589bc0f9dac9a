"""Teachers of texts: BERT-family models, and Keras models over ids of the user's own."""

from collections.abc import Sequence

import keras

from tfkd.errors import RequestError
from tfkd.inputs.text import vocabulary
from tfkd.inputs.text.bert_folders import folder_of, vocabulary_file
from tfkd.labels import outputs_of
from tfkd.models import bert, token_ids
from tfkd.models.bert_config import BertConfig, read_config
from tfkd.recipe import Teacher

_LABELS = "the labels in config.json"


def bert_teacher(teacher: Teacher, classes: int, names: Sequence[str]) -> keras.Model:
    """Builds a BERT-family teacher (see `tfkd.models.bert`).

    A classifier that was fine-tuned on the classes keeps its head, whose outputs are brought into their order.

    Args:
        teacher: block of the recipe, with its tokens.
        classes: number of outputs.
        names: of the classes; empty where only the shape matters.

    Raises:
        RequestError: a file is missing, damaged or does not fit, or the teacher is to be used unchanged and is no
            classifier of these classes.
    """
    folder, length = folder_of(teacher.model), teacher.tokens
    assert length is not None
    if teacher.weights == "none":
        return bert.untrained_teacher(folder, length, classes)
    config = read_config(folder)
    order = _order(teacher, config, classes, names)
    if order is None:
        return bert.open_teacher(folder, length, classes)
    return _with_outputs(bert.open_teacher(folder, length, len(config.labels)), order)


def _order(teacher: Teacher, config: BertConfig, classes: int, names: Sequence[str]) -> list[int] | None:
    """Returns the number of the output for each class; None where a head is to be trained from random weights."""
    labels, is_needed = teacher.labels or config.labels, teacher.fine_tune is None
    if not config.labels:
        if is_needed and names:
            raise RequestError(
                f"{teacher.model} has no classifier, only features; set fine_tune=FineTune(epochs=0) to train a head."
            )
        return None
    if len(labels) != len(config.labels):
        raise RequestError(
            f"{teacher.model} has {len(config.labels)} outputs, its labels name {len(labels)}; name each output."
        )
    if teacher.classes or not names or _are_numbers(labels):
        if len(labels) == classes:
            return list(range(classes))
        if is_needed:
            raise RequestError(f"{teacher.model} has {len(labels)} outputs, but {classes} are needed; set fine_tune.")
        return None
    try:
        return outputs_of(names, labels, _LABELS)
    except RequestError:
        if is_needed:
            raise
        return None


def _are_numbers(labels: Sequence[str]) -> bool:
    """Returns whether the labels are those that Hugging Face's library gives where none are known."""
    return all(label == f"LABEL_{number}" for number, label in enumerate(labels))


def _with_outputs(model: keras.Model, order: Sequence[int]) -> keras.Model:
    """Returns a model with selected outputs of its head, in this order."""
    head = model.get_layer("head")
    if list(order) == list(range(head.units)):
        return model
    kernel, bias = head.get_weights()
    selected = keras.layers.Dense(len(order), name="head")
    model = keras.Model(model.input, selected(head.input), name=model.name)
    selected.set_weights([kernel[:, order], bias[order]])
    return model


def stated_pieces(teacher: Teacher) -> tuple[str, ...] | None:
    """Returns the vocabulary that a recipe states for a teacher, or None.

    Raises:
        RequestError: it cannot be read.
    """
    if teacher.vocabulary is None:
        return None
    return vocabulary.read(vocabulary_file(teacher.vocabulary)).pieces


def with_vocabulary(model: keras.Model, teacher: Teacher) -> keras.Model:
    """Returns a model over ids with its vocabulary.

    Raises:
        RequestError: the vocabulary is not known, or has another size than the model's table of word vectors.
    """
    pieces = stated_pieces(teacher)
    if pieces is not None:
        return token_ids.with_trained_vocabulary(pieces, model, str(teacher.vocabulary), teacher.model)
    if token_ids.has_vocabulary(model):
        return model
    raise RequestError(
        f"{teacher.model} does not say the vocabulary of its ids; set the teacher's vocabulary: a vocab.txt, or a "
        "folder with one."
    )
