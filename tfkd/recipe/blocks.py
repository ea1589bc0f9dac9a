"""What the user asks for: a typed, validated, printable description of one run.

A recipe is a short Python file that ends in `recipe = Recipe(...)`, or the `recipe.json` that every bundle holds;
`tfkd.recipe.files` reads both.
"""

import itertools
import math
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from tfkd.errors import RequestError
from tfkd.labels import read_labels

TflitePrecision = Literal["fp32", "fp16", "dynamic", "int8", "16x8"]
CoremlForm = Literal[
    "mlmodel",
    "mlmodel_fp16",
    "mlmodel_int8",
    "mlpackage",
    "mlpackage_fp32",
    "mlpackage_int8",
    "mlpackage_palette6",
    "mlpackage_palette4",
    "mlpackage_pruned",
]
Activation = Literal["hard_swish", "relu6", "silu", "relu"]
MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
SMOKE = "--smoke"  # what switched gates off in a shrunk recipe
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"  # of a run and its bundle: safe in every path


def _separated(value: Any) -> Any:
    """Reads "fp32,int8" as two names and "none" as no name."""
    if not isinstance(value, str):
        return value
    return [] if value == "none" else [name.strip() for name in value.split(",")]


Separated = BeforeValidator(_separated)  # of a list of names, which an override gives as one text


class Block(BaseModel):
    """A part of a recipe: fixed once made, and strict about the names of its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Augment(Block):
    """How training views differ from the photo. Everything is drawn from the view's seed (see inputs.image.views)."""

    min_area: float = Field(0.35, gt=0, le=1, description="smallest share of the photo that a random crop keeps")
    max_aspect: float = Field(1.33, ge=1, description="largest width/height (or its inverse) of a random crop")
    flip: bool = Field(True, description="mirror half of the views left to right")
    brightness: float = Field(0.2, ge=0, lt=1, description="largest relative change of brightness")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest relative change of contrast")
    saturation: float = Field(0.2, ge=0, lt=1, description="largest relative change of saturation")
    operations: int = Field(0, ge=0, le=4, description="further changes drawn for each view, as in RandAugment")
    magnitude: float = Field(0.5, ge=0, le=1, description="how strong those further changes are")
    mix: Literal["none", "mixup", "cutmix"] = Field("none", description="how a view is mixed with another image's")
    mix_share: float = Field(0.5, ge=0, le=1, description="share of the views that are mixed")

    @property
    def unmixed(self) -> "Augment":
        """The same views, of one image each."""
        return self.model_copy(update={name: type(self).model_fields[name].default for name in ("mix", "mix_share")})


class Data(Block):
    """Where the images come from and how they are split."""

    source: str = Field(
        description="embedded:NAME, tfds:NAME, folder:PATH (a folder or a .zip of class folders), or files:LIST.csv "
        "(path, label, optional split and group)"
    )
    image_size: int = Field(96, ge=32, le=1024, description="side of the student's square input, pixels")
    fraction: float = Field(1.0, gt=0, le=1, description="share of the training images that is used, per class")
    unlabelled: str | None = Field(
        None, description="images that only the teacher labels: folder:PATH, or rest: those that fraction leaves out"
    )
    validation_share: float = Field(0.1, gt=0, lt=1, description="share split off where there is no validation split")
    test_share: float = Field(0.1, gt=0, lt=1, description="share split off where there is no test split")
    pixel_range: tuple[float, float] | None = Field(
        None, description="values that become 0 and 255 in photos of more than 8 bits; default: found by a scan"
    )
    drop_duplicates: bool = Field(
        True, description="leave out training and unlabelled images that are in validation or test as well"
    )
    max_rejected: float = Field(0.01, ge=0, le=1, description="largest share of files that may fail to decode")
    augment: Augment = Augment()

    @field_validator("pixel_range", mode="before")
    @classmethod
    def _ascending(cls, value: object) -> object:
        match value:
            case None:
                return None
            case [Real() as low, Real() as high] if math.isfinite(low) and math.isfinite(high) and low < high:
                return low, high
        raise ValueError("must be two numbers, the smaller one first, e.g. [0, 4095]")


class Training(Block):
    """One training with AdamW."""

    epochs: int = Field(30, ge=1, description="passes over the training images")
    batch_size: int = Field(64, ge=1, description="images a step")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="of the learning rate after the warm-up")
    warmup_epochs: float = Field(1.0, ge=0, description="epochs of linear warm-up")
    weight_decay: float = Field(0.02, ge=0, description="decoupled weight decay of AdamW")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each label spread over all classes")
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the whole gradient")
    accumulate: int = Field(1, ge=1, description="steps whose gradients make one update")
    average: float | None = Field(None, gt=0, lt=1, description="momentum of an average of the weights, which is kept")
    patience: int | None = Field(None, ge=1, description="epochs without a better validation accuracy before it stops")


class FineTune(Training):
    """Fine-tuning of a teacher: first its new head on the frozen backbone, then the rest."""

    epochs: int = Field(4, ge=0, description="passes with the backbone thawed; 0 trains the head alone")
    learning_rate: float = Field(3e-4, gt=0, description="peak learning rate of the thawed epochs")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of AdamW")
    head_epochs: int = Field(20, ge=0, description="passes of the head over the backbone's stored features")
    head_learning_rate: float = Field(3e-3, gt=0, description="peak learning rate of the head epochs")
    thaw: float = Field(1.0, ge=0, le=1, description="share of the backbone's layers, from the top, that is thawed")


def is_model_file(model: str) -> bool:
    """Tells the path of a model file or SavedModel folder from a name and from `package.module:function`."""
    if ":" in model:
        return False
    path = Path(model)
    is_there = path.is_file() or (path / "saved_model.pb").is_file()
    return is_there or model.lower().endswith(MODEL_SUFFIXES) or "/" in model


class Teacher(Block):
    """A heavy classifier, at its own input size and with its own normalisation."""

    model: str = Field(description="a name from `tfkd list teachers`, a model file, or package.module:function")
    weights: str = Field("imagenet", description="imagenet, none, or the path of a weights file")
    image_size: int | None = Field(None, ge=32, le=1024, description="side of its input, pixels; default: its family's")
    fine_tune: FineTune | None = Field(
        default_factory=lambda fields: None if is_model_file(fields.get("model", "")) else FineTune(),
        description="None uses the weights as they are, the default for a model file",
    )
    normalization: str = Field(
        "none", description="what a model of one's own expects of pixels: none, tf, torch, caffe or numbers"
    )
    labels: list[str] | None = Field(
        None, min_length=1, description="classes of its outputs, in their order: a list, or the path of a labels file"
    )
    classes: Annotated[list[str] | None, Separated] = Field(
        None, min_length=1, description="those it knows, where it is a specialist"
    )
    batch_norm: Literal["moving", "batch"] = Field(
        "moving", description="the statistics it answers with: those of its training, or each batch's own"
    )
    share: float = Field(1.0, gt=0, description="its say among several teachers, relative to the others'")
    modality: str = Field("rgb", description="what it sees: rgb, grey, edges, or folder:PATH of paired images")

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
    def _one_meaning_of_outputs(self) -> "Teacher":
        if self.labels and self.classes:
            raise ValueError("has labels and classes; labels name all outputs in order, classes those of a specialist")
        return self


class Student(Block):
    """The classifier that ships."""

    model: str = Field("mobilenet_v3_small", description="a name from `tfkd list students`, or package.module:function")
    weights: str = Field("none", description="none, imagenet, or the path of a weights file to start from")
    width: float = Field(1.0, ge=0.1, le=4, description="multiplier of the number of channels")
    activation: Activation = Field("relu6", description="of the student; hard_swish is the paper's, relu6 the fastest")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of features dropped before the classifier")
    batch_norm_momentum: float = Field(0.9, gt=0, lt=1, description="Keras's 0.99 needs longer runs to settle")
    modality: str = Field("rgb", description="what it sees: rgb, grey, edges, or folder:PATH of paired images")


class Schedule(Block):
    """A number that changes over a training, from its first epoch to its last."""

    start: float = Field(ge=0, description="in the first epoch")
    end: float = Field(ge=0, description="in the last epoch")
    shape: Literal["linear", "cosine"] = "linear"

    def at(self, epoch: int, epochs: int) -> float:
        """Returns the number in epoch 0 to epochs − 1."""
        done = epoch / max(1, epochs - 1)
        share = done if self.shape == "linear" else (1 - math.cos(math.pi * done)) / 2
        return self.start + (self.end - self.start) * share


class Loss(Block):
    """What all distillation losses share."""

    weight: float | Schedule = Field(1.0, description="share of this loss in the sum")

    @field_validator("weight")
    @classmethod
    def _not_negative(cls, value: float | Schedule) -> float | Schedule:
        if isinstance(value, float) and not value >= 0:
            raise ValueError("must not be negative")
        return value


class LogitLoss(Loss):
    """A distillation loss on logits, both softened by a temperature."""

    temperature: float | Schedule = Field(4.0, description="softens teacher and student alike")

    @field_validator("temperature")
    @classmethod
    def _positive(cls, value: float | Schedule) -> float | Schedule:
        ends = [value.start, value.end] if isinstance(value, Schedule) else [value]
        if not all(end > 0 for end in ends):
            raise ValueError("must be above 0; 1 to 20 is usual")
        return value


class SoftTargets(LogitLoss):
    """Hinton's distillation loss (Hinton, Vinyals, Dean 2015, arXiv:1503.02531); it is scaled by T²."""

    kind: Literal["soft_targets"] = "soft_targets"
    weight: float | Schedule = Field(0.7, description="share of this loss in the sum")


class Decoupled(LogitLoss):
    """Decoupled knowledge distillation, DKD (Zhao et al. 2022, arXiv:2203.08679)."""

    kind: Literal["decoupled"] = "decoupled"
    target: float = Field(1.0, ge=0, description="weight of the part about the right class")
    others: float = Field(8.0, ge=0, description="weight of the part among the other classes")


class Standardized(LogitLoss):
    """Soft targets of standardised logits (Sun et al. 2024, arXiv:2403.01427)."""

    kind: Literal["standardized"] = "standardized"
    temperature: float | Schedule = Field(2.0, description="softens the standardised logits of both")


class Dist(LogitLoss):
    """Correlation between and within classes, DIST (Huang et al. 2022, arXiv:2205.10536)."""

    kind: Literal["dist"] = "dist"
    temperature: float | Schedule = Field(1.0, description="softens teacher and student alike")
    inter: float = Field(1.0, ge=0, description="weight of the correlation of each image's classes")
    intra: float = Field(1.0, ge=0, description="weight of the correlation of each class over the batch")


class Normalized(LogitLoss):
    """Normalised knowledge distillation, NKD (Yang et al. 2023, arXiv:2303.13005)."""

    kind: Literal["normalized"] = "normalized"
    temperature: float | Schedule = Field(1.0, description="softens the part among the other classes")
    others: float = Field(1.5, ge=0, description="weight of the part among the other classes")


class FeatureLoss(Loss):
    """A distillation loss on features; `tfkd.distill.taps` says what a tap may be."""

    teacher_tap: str = Field("pooled", description="logits, pooled, penultimate, stage:N, stage:N:before or a layer")
    student_tap: str = Field("pooled", description="the same of the student")


class Attention(FeatureLoss):
    """Attention transfer, AT (Zagoruyko, Komodakis 2017, arXiv:1612.03928)."""

    kind: Literal["attention"] = "attention"
    teacher_tap: str = "stage:16"
    student_tap: str = "stage:16"
    power: float = Field(2.0, gt=0, description="exponent of the activations that are summed over channels")


class Hint(FeatureLoss):
    """A projector of the student's feature regresses the teacher's, FitNets (Romero et al. 2015, arXiv:1412.6550)."""

    kind: Literal["hint"] = "hint"
    standardize: bool = Field(True, description="regress the teacher's feature with zero mean and unit variance")


class Relational(FeatureLoss):
    """Relational knowledge distillation, RKD (Park et al. 2019, arXiv:1904.05068)."""

    kind: Literal["relational"] = "relational"
    distance: float = Field(1.0, ge=0, description="weight of the distances between pairs of images")
    angle: float = Field(2.0, ge=0, description="weight of the angles of triples of images")


class Contrastive(FeatureLoss):
    """Contrastive representation distillation, CRD (Tian, Krishnan, Isola 2020, arXiv:1910.10699)."""

    kind: Literal["contrastive"] = "contrastive"
    temperature: float = Field(0.07, gt=0, description="of the similarities")
    dimensions: int = Field(128, ge=2, description="of the space that both features are projected to")
    negatives: int | None = Field(4096, ge=1, description="drawn from a memory of the data set; None: the batch's own")
    momentum: float = Field(0.5, ge=0, lt=1, description="share of a memory's entry that stays when its image comes")


AnyLoss = Annotated[
    SoftTargets | Decoupled | Standardized | Dist | Normalized | Attention | Hint | Relational | Contrastive,
    Field(discriminator="kind"),
]


class Distill(Block):
    """How the student learns from the teacher."""

    losses: list[AnyLoss] = Field([SoftTargets()], min_length=1, description="distillation losses, summed by weight")
    label_weight: float = Field(0.3, ge=0, description="weight of the cross-entropy with the true labels")
    views: int = Field(8, ge=1, description="augmented views of every training image that the teacher answers once")
    targets: Literal["view", "image"] = Field(
        "view",
        description="view: the student sees the stored views, each with its answers; image: it sees new views in every "
        "epoch, and learns the mean of the answers to the stored views of the image",
    )
    features: Annotated[list[str], Separated] = Field(
        [], description="teacher's taps to store beside those that the losses look at"
    )
    assistants: list[Student] = Field([], description="networks between teacher and student, each taught by the last")
    generations: int = Field(1, ge=1, description="students in a row, each taught by the one before (born again)")
    control: bool = Field(True, description="train the same student without a teacher as well")
    repeats: int = Field(1, ge=1, description="seeds for student and control, counted up from the recipe's seed")
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32", description="of the computation; float16 comes with loss scaling, weights stay float32"
    )
    training: Training = Training()

    @property
    def teacher_taps(self) -> list[str]:
        """The features of a teacher that its store keeps, in order and without the logits."""
        return sorted({*self.learnt_taps, *self.features} - {"logits"})

    @property
    def learnt_taps(self) -> list[str]:
        """Those of them that the losses look at."""
        return sorted({loss.teacher_tap for loss in self.losses if isinstance(loss, FeatureLoss)} - {"logits"})

    @model_validator(mode="after")
    def _some_weight(self) -> "Distill":
        weights = [loss.weight for loss in self.losses]
        if self.label_weight + sum(max(w.start, w.end) if isinstance(w, Schedule) else w for w in weights) <= 0:
            raise ValueError("the weights of the losses and label_weight sum to zero; give at least one of them weight")
        return self


class Compression(Block):
    """What all compressions share: a short training from the soft-label store, with the student's own losses."""

    training: Training = Training(epochs=5, learning_rate=3e-4, warmup_epochs=0.5)


class Prune(Compression):
    """Magnitude pruning: the smallest weights become zero (Zhu, Gupta 2017, arXiv:1710.01878)."""

    kind: Literal["prune"] = "prune"
    sparsity: float = Field(0.5, gt=0, lt=1, description="share of the weights of each pruned layer that end as zero")
    structure: Literal["unstructured", "2:4"] = Field(
        "unstructured", description="any weights, or two of each four neighbours (then sparsity is 0.5)"
    )

    @model_validator(mode="after")
    def _reachable(self) -> "Prune":
        if self.structure == "2:4" and self.sparsity != 0.5:
            raise ValueError("structure 2:4 is a sparsity of 0.5; make it 0.5 or leave it out")
        if self.training.patience or self.training.average:
            raise ValueError("training.patience and average bring back weights of before the pruning; leave them out")
        return self


class Cluster(Compression):
    """Weight clustering: each layer keeps few different weights, which deflate well (Han et al. arXiv:1510.00149)."""

    kind: Literal["cluster"] = "cluster"
    clusters: int = Field(16, ge=2, le=256, description="different weights of each clustered layer")


class QuantizationAware(Compression):
    """Quantization-aware distillation: trained with int8 rounding in place (Jacob et al. 2018, arXiv:1712.05877)."""

    kind: Literal["qat"] = "qat"
    training: Training = Training(epochs=5, learning_rate=3e-5, warmup_epochs=0.5)  # rounding moves weights little


AnyCompression = Annotated[Prune | Cluster | QuantizationAware, Field(discriminator="kind")]


class Export(Block):
    """The files that an app takes, and what is written into them."""

    tflite: Annotated[list[TflitePrecision], Separated] = Field(
        ["fp32", "fp16", "dynamic", "int8"], description="TFLite files to write"
    )
    coreml: Annotated[list[CoremlForm], Separated] = Field(
        ["mlmodel", "mlpackage"], description="Core ML files to write"
    )
    ios_target: int | None = Field(
        None,
        ge=13,
        le=18,
        description="oldest iOS that takes the files; default: the oldest that each of them can have",
    )
    onnx: bool = Field(False, description="write an .onnx file too, for TensorRT; needs the extra onnx")
    require: Annotated[list[str], Separated] = Field(
        [],
        description="files that must exist, by their names in tflite and coreml, or onnx: where one cannot be made, "
        "nothing is published",
    )
    calibration_images: int = Field(500, ge=1, description="real training images that set the int8 ranges")
    ranges: Literal["min_max", "mse"] = Field(
        "min_max", description="of int8 activations: all that was seen, or the range with the least squared error"
    )
    float_layers: Annotated[list[str], Separated] = Field(
        [], description="operators of the int8 file left in float, by a part of their name"
    )
    int8_io: Literal["uint8", "int8"] = Field("uint8", description="what the int8 file takes and gives")
    golden_images: int = Field(8, ge=1, description="test images stored with the probabilities each file must give")
    author: str = "tfkd"
    license: str = "see MODEL_CARD.md"
    version: str = "1"
    description: str = "Image classifier distilled with tfkd"

    @field_validator("tflite", "coreml", "require")
    @classmethod
    def _once_each(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("names a format twice; name each once")
        return value

    @property
    def forms(self) -> list[str]:
        """The names of all files to write."""
        return [*self.tflite, *self.coreml, *(["onnx"] if self.onnx else [])]

    @model_validator(mode="after")
    def _written(self) -> "Export":
        for form in self.require:
            if form not in self.forms:
                raise ValueError(
                    f"require names {form!r}, but the files to write are {', '.join(self.forms) or 'none'}; "
                    "add it to tflite or coreml, or leave it out of require"
                )
        return self

    @model_validator(mode="after")
    def _old_enough(self) -> "Export":
        for form in self.coreml:
            if self.ios_target is not None and self.ios_target < oldest_ios(form):
                raise ValueError(
                    f"ios_target = {self.ios_target}, but {form} needs iOS {oldest_ios(form)}; raise it or leave that "
                    "file out of coreml"
                )
        return self


def oldest_ios(form: CoremlForm) -> int:
    """Returns the iOS that brought what a Core ML file is made of: ML programs, then compressed weights in them."""
    if form.startswith("mlmodel"):
        return 13
    return 15 if form in ("mlpackage", "mlpackage_fp32") else 16


class Bench(Block):
    """How latency is measured on this machine."""

    runs: int = Field(50, ge=5, description="timed runs of each file")
    warmup: int = Field(10, ge=1, description="runs before the timed ones")


class Gates(Block):
    """The limits that decide the exit code. Accuracies are shares from 0 to 1; None or False switches a gate off.

    The first four compare with the truth, with the control and with the teacher. Both tests have the level of
    significance 0.01 (see tfkd.verification.truth). A gate that a test split is too small for, and one that is
    switched off although it is on by default, is listed as not judged.
    """

    better_than_chance: bool = Field(
        True,
        description="each network and each file predicts the test split better than guessing: p-value of a permutation "
        "test of the balanced accuracy",
    )
    not_worse_than_control: bool = Field(
        True,
        description="the student is not worse than its control on the test split: p-value of a one-sided exact McNemar "
        "test",
    )
    diagnosis: bool = Field(
        True, description="no cause of wrong predictions is found: labels in another order, other pixels, no training"
    )
    min_relative_accuracy: float | None = Field(0.8, ge=0, description="student accuracy / teacher accuracy")
    min_accuracy: float | None = Field(None, ge=0, le=1, description="accuracy of each file")
    max_accuracy_drop: float | None = Field(0.02, ge=0, description="accuracy of the Keras model minus that of a file")
    min_agreement: float | None = Field(
        0.95,
        ge=0,
        le=1,
        description="share of images for which a quantized file and the Keras model predict the same class; palettes "
        "are not judged",
    )
    min_float_agreement: float | None = Field(
        0.995, ge=0, le=1, description="share of images for which an fp32 or fp16 file and the Keras model agree"
    )
    max_float_error: float | None = Field(
        1e-3, gt=0, description="largest difference of a probability between an fp32 file and the Keras model"
    )
    max_half_shift: float | None = Field(
        0.01, gt=0, le=1, description="mean probability that an fp16 file gives to other classes than the Keras model"
    )
    max_half_error: float | None = Field(
        None,
        gt=0,
        description="largest difference of a probability between an fp16 file and the Keras model; grows with the "
        "logits of one image",
    )
    one_partition: bool = Field(True, description="XNNPACK runs an fp32, fp16 or int8 .tflite in one piece")
    min_gain_over_control: float | None = Field(None, description="student accuracy - control accuracy")
    min_size_ratio: float | None = Field(None, gt=0, description="bytes of teacher fp32 / student int8 .tflite")
    min_speed_ratio: float | None = Field(None, gt=0, description="latency on one thread: teacher fp32 / student int8")
    switched_off_by: str | None = Field(None, description="what switched gates off, for the report; --smoke sets it")


class Recipe(Block):
    """One run, from images to an app-ready folder."""

    name: str = Field(pattern=NAME, description="names the run and the bundle")
    data: Data
    teachers: list[Teacher] = Field(min_length=1, description="one teacher, or several that answer together")
    student: Student = Student()
    distill: Distill = Distill()
    compress: list[AnyCompression] = Field([], description="what is done to the trained student, in this order")
    export: Export = Export()
    bench: Bench = Bench()
    gates: Gates = Gates()
    imports: list[str] = Field([], description="modules that register custom layers of models; imported before loading")
    seed: int = Field(1, ge=0, lt=2**31, description="the one seed that everything random is drawn from")

    @property
    def asked_views(self) -> Augment:
        """The views that a teacher is asked about."""
        return self.data.augment.unmixed if self.distill.targets == "image" else self.data.augment

    @field_validator("compress")
    @classmethod
    def _in_order(cls, value: list[AnyCompression]) -> list[AnyCompression]:
        order = ["prune", "cluster", "qat"]
        places = [order.index(block.kind) for block in value]
        if any(later <= earlier for earlier, later in itertools.pairwise(places)):
            raise ValueError("each kind may stand there once, in the order prune, cluster, qat: later ones undo none")
        return value


def shrunk(recipe: Recipe) -> Recipe:
    """Returns the recipe as a smoke test: every stage for real, on a few images and for one epoch, in about a minute.

    The gates on quality are switched off, since nothing learns much in a minute: the bundle lists them as not judged.
    The name ends in `-smoke`.
    """
    values = recipe.model_dump(mode="json")
    values["name"] = f"{recipe.name}-smoke"[:64]
    values["data"] |= {"fraction": min(recipe.data.fraction, 0.05), "unlabelled": None}
    values["distill"]["views"] = 1
    values["distill"]["repeats"] = 1
    values["distill"]["training"]["epochs"] = 1
    for compression in values["compress"]:
        compression["training"]["epochs"] = 1
    values["export"]["calibration_images"] = 20
    values["bench"] = {"runs": 5, "warmup": 1}
    values["gates"] = {
        "better_than_chance": False,
        "not_worse_than_control": False,
        "diagnosis": False,
        "min_relative_accuracy": None,
        "max_accuracy_drop": None,
        "min_agreement": None,
        "min_float_agreement": None,
        "switched_off_by": SMOKE,
    }
    for teacher in values["teachers"]:
        if teacher["fine_tune"]:
            teacher["fine_tune"] |= {"epochs": 1, "head_epochs": 1}
    return Recipe.model_validate(values)
