"""The layout of a stored teacher prediction: float16, with all logits or the largest."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfkd.errors import RequestError

MOST_ROWS = 16_384  # of a shard: the most work that a kill loses
MOST_BYTES = 64 << 20  # of a shard: memory of the writer
ALL_CLASSES_UP_TO = 256
MOST_KEPT = 128
LOGITS = "logits"
_HALF = np.dtype("<f2")
_LARGEST = float(np.finfo(_HALF).max)

TeacherOutputs = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """The layout of one prediction.

    Attributes:
        classes: number of the teacher's classes.
        top: number of largest logits to store, with the mass of all others; None stores all logits.
        features: shape of each feature, by its tap's name.

    Raises:
        RequestError: a number is out of its range.
    """

    classes: int
    top: int | None = None
    features: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise RequestError(f"A soft-label store needs at least one class, not {self.classes}.")
        if self.top is not None and not 0 < self.top < self.classes:
            raise RequestError(f"top must lie between 1 and {self.classes - 1} of {self.classes} classes.")
        if LOGITS in self.features:
            raise RequestError(f"A soft-label store always holds {LOGITS!r}; leave it out of the features.")

    @classmethod
    def for_classes(cls, classes: int, features: dict[str, tuple[int, ...]] | None = None) -> "Layout":
        """Returns the layout for a number of classes: all logits up to 256 classes, else an eighth, at most 128.

        A kept logit takes four bytes with its class and two without, so what is kept of more than 256 classes takes
        about a quarter of the bytes or less.
        """
        top = None if classes <= ALL_CLASSES_UP_TO else min(classes // 8, MOST_KEPT)
        return cls(classes, top, features or {})

    @classmethod
    def described_by(cls, value: dict[str, Any]) -> "Layout":
        """Returns the layout from the result of `described`."""
        features = {tap: tuple(shape) for tap, shape in value["features"].items()}
        return cls(value["classes"], value["top"], features)

    def described(self) -> dict[str, Any]:
        """Returns the layout as JSON values, for a store's header."""
        features = {tap: list(shape) for tap, shape in self.features.items()}
        return {"classes": self.classes, "top": self.top, "features": features}

    @property
    def dtype(self) -> np.dtype[np.void]:
        """The record of one prediction: float16 logits and features; with `top`, also classes and the others' mass."""
        fields: list[Any] = [(LOGITS, _HALF, (self.top or self.classes,))]
        if self.top:
            fields.append(("classes", "<u2" if self.classes <= 1 << 16 else "<u4", (self.top,)))
            fields.append(("others", "<f4"))
        if self.features:
            fields.append(("features", [(tap, _HALF, shape) for tap, shape in sorted(self.features.items())]))
        return np.dtype(fields)

    @property
    def bytes_per_view(self) -> int:
        """Bytes of the prediction of one view."""
        return self.dtype.itemsize

    def bytes_until(self, features: Collection[str]) -> int:
        """Bytes of a record up to the end of the last of these features; logits come before all features."""
        if not self.features:
            return self.bytes_per_view
        places = dict(self.dtype.fields or {})
        block, begin = places["features"][:2]
        taps = dict(block.fields or {})
        return begin + max((taps[tap][1] + taps[tap][0].itemsize for tap in features), default=0)

    @property
    def rows_per_shard(self) -> int:
        """Rows per shard: a power of two, like the batches of teachers, so that batches end with shards."""
        return 1 << int(math.log2(max(1, min(MOST_ROWS, MOST_BYTES // self.bytes_per_view))))

    def encode(self, prediction: TeacherOutputs) -> Any:
        """Returns predictions as records [n].

        Logits beyond float16's range are clipped, as softmax has long become one-hot there; a feature beyond it is
        refused, as its clipped value would be a wrong target.

        Args:
            prediction: "logits" [n, classes] and each feature [n, *shape], any float dtype.

        Raises:
            RequestError: shapes differ from the layout, or a value is NaN, infinite or, in a feature, too large.
        """
        logits = _checked(LOGITS, prediction[LOGITS], (self.classes,))
        records = np.empty(len(logits), self.dtype)
        logits = np.clip(logits, -_LARGEST, _LARGEST)
        if self.top:
            order = np.argpartition(logits, -self.top, axis=1)
            classes = order[:, -self.top :]
            records["classes"] = classes
            records["others"] = _log_sum_exp(np.take_along_axis(logits, order[:, : -self.top], axis=1))
            logits = np.take_along_axis(logits, classes, axis=1)
        records[LOGITS] = logits
        for tap, shape in self.features.items():
            records["features"][tap] = _within_half(tap, _checked(tap, prediction[tap], shape))
        return records

    def decode(self, records: Any, features: Collection[str] | None = None) -> TeacherOutputs:
        """Returns "logits" float32 [n, classes] and features (default: all) float32 [n, *shape] of records [n].

        With `top`, each class that was not kept gets the same logit, so that softmax gives them together the mass that
        the teacher gave them. At another temperature than 1 their mass is that of equal logits, not the teacher's.
        """
        logits = records[LOGITS].astype(np.float32)
        if self.top:
            stored_logits = logits
            others = records["others"] - np.float32(math.log(self.classes - self.top))
            logits = np.repeat(others[:, None], self.classes, axis=1)
            np.put_along_axis(logits, records["classes"].astype(np.int64), stored_logits, axis=1)
        taps = self.features if features is None else features
        return {LOGITS: logits, **{tap: records["features"][tap].astype(np.float32) for tap in taps}}


def _checked(name: str, values: Any, shape: tuple[int, ...]) -> Any:
    values = np.asarray(values)
    if values.shape[1:] != shape:
        raise RequestError(
            f"the teacher predicts {name} of shape {list(values.shape[1:])} where {list(shape)} is expected; check its "
            "classes, its input size and the tap."
        )
    if not np.isfinite(values).all():
        raise RequestError(f"the teacher predicted NaN or infinity in {name}; check its weights and input size.")
    return values


def _within_half(tap: str, values: Any) -> Any:
    if np.abs(values).max(initial=0) > _LARGEST:
        raise RequestError(
            f"the teacher's {tap} holds values beyond ±{_LARGEST:,.0f}, the range of float16; choose another tap."
        )
    return values


def _log_sum_exp(values: Any) -> Any:
    """Returns log Σ exp over the last axis; float32 [n]."""
    values = values.astype(np.float32)
    largest = values.max(axis=-1)
    return largest + np.log(np.exp(values - largest[:, None]).sum(axis=-1))
