"""Labelled examples that `tfkd verify` measures a bundle's files on: those of the bundle, or others."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkd.bundle import source_images, verdicts
from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError
from tfkd.labels import outputs_of
from tfkd.verification import NotVerifiedError, VerifyError, rejection, thresholds
from tfkd.verification.class_gates import judge_scores
from tfkd.verification.intervals import proportion
from tfkd.verification.records import Artifact, Gate
from tfkd.verification.scores import scores
from tfkd.verification.verdict import file_name, percent

if TYPE_CHECKING:
    from tfkd.data.dataset import Dataset

_ACCURACY = 0.005  # another CPU may decide an example otherwise whose two best classes are level
_WORSE = 0.01  # largest p value of unseen examples with which a file is worse on them


class LabelledExamples:
    """The test split of a source, in the classes of a bundle.

    Attributes:
        name: of the check whether they are what they should be.
        where: ends the name of a check on these examples.
        probabilities: predictions [n, classes] by the path of the file, of the files that were run.

    Raises:
        RequestError: the source has a class that the bundle does not know, or cannot be rendered for the student.
    """

    name: str
    where = ""

    def __init__(self, found: "Dataset", manifest: Manifest) -> None:
        self._manifest = manifest
        outputs = np.array(outputs_of(found.classes, manifest.data.classes, "the bundle's labels"))
        self._examples = source_images.measured_split(found, manifest)
        self._labels = outputs[found.test.labels]
        self.probabilities: dict[str, np.ndarray] = {}

    def batches(self) -> Iterable[Any]:
        """Returns raw inputs of the student's signature, [b, ...], in order."""
        return source_images.raw_batches(self._examples, self._manifest.signature)

    def seen(self) -> str | None:
        """Returns why the files have seen these examples, or None."""
        return None

    def gates_on_classes(self, artifact: Artifact) -> list[Gate]:
        """Returns the verdicts on the classes of a file that need no other network.

        Raises:
            VerifyError: the manifest's limits cannot be judged.
        """
        manifest, classes = self._manifest, self._manifest.data.classes
        limits = thresholds.values(manifest.thresholds, classes)
        predictions = thresholds.predicted(self.probabilities[artifact.path], limits)
        try:
            found = scores(self._labels, predictions, classes)
            gates, file = verdicts.limits(manifest), file_name(artifact.path)
            judged = list(judge_scores(gates, found, file, manifest.thresholds))
            if (rejected := artifact.rejection) is not None:
                counts = rejection.counts(self.probabilities[artifact.path], self._labels, rejected.threshold or 0.0)
                judged += rejection.judge_counts(gates, file, rejected, counts)
            return judged
        except RequestError as error:
            raise VerifyError(f"{MANIFEST}: its gates cannot be judged: {error}") from None

    def _right(self, artifact: Artifact) -> int:
        return int(np.sum(self.probabilities[artifact.path].argmax(axis=1) == self._labels))


class OwnExamples(LabelledExamples):
    """The examples that a bundle was measured on, opened from their source again.

    Raises:
        RequestError: as `LabelledExamples`, or the source cannot be opened.
    """

    name = "data"

    def __init__(self, source: str, manifest: Manifest) -> None:
        found, self._complete = source_images.open_images(source, manifest)
        self._fingerprint = found.fingerprint
        super().__init__(found, manifest)

    def compared(self) -> tuple[int, str]:
        """Returns their number, and that these are the examples that the bundle was measured on.

        Raises:
            VerifyError: they are others.
        """
        count = len(self._labels)
        if not self._complete:
            return count, f"{count:,} test examples; the bundle's fingerprint is of more than these"
        if self._fingerprint != self._manifest.data.fingerprint:
            raise VerifyError(
                f"other examples or another division than the bundle's: their fingerprint is {self._fingerprint}, "
                f"{MANIFEST} has {self._manifest.data.fingerprint}; examples that it has not seen are for --unseen."
            )
        return count, f"the {count:,} test examples that the bundle was measured on"

    def seen(self) -> str | None:
        """Returns why the files have seen these examples, or None."""
        folds = self._manifest.folds
        return f"its student was trained on these examples; its accuracy is that of {folds} folds" if folds else None

    def judged(self, artifact: Artifact) -> tuple[float, str]:
        """Returns the accuracy of a file and how it compares with the manifest's.

        Raises:
            VerifyError: it is another one.
        """
        accuracy, stated = self._right(artifact) / len(self._labels), artifact.accuracy
        allowed = max(_ACCURACY, 2 / len(self._labels))
        found = f"{accuracy:.4f} on {len(self._labels):,} examples, {MANIFEST} says {stated}"
        if stated is None or not abs(accuracy - stated) <= allowed:
            raise VerifyError(f"{found} ({allowed:.4f} apart is allowed).")
        return accuracy, found


class UnseenExamples(LabelledExamples):
    """Examples that no network of a bundle has seen: all of a source, or its test split where it has one.

    Raises:
        RequestError: as `LabelledExamples`, or the source cannot be opened.
    """

    name, where = "unseen examples", " on unseen examples"

    def __init__(self, source: str, manifest: Manifest) -> None:
        super().__init__(source_images.open_others(source, manifest), manifest)

    def compared(self) -> tuple[int, str]:
        """Returns their number."""
        count, classes = len(self._labels), len(set(self._labels.tolist()))
        return count, f"{count:,} examples of {classes} of {len(self._manifest.data.classes)} classes, all measured"

    def judged(self, artifact: Artifact) -> tuple[float, str]:
        """Returns the accuracy of a file and how it compares with that on the bundle's test examples.

        Raises:
            VerifyError: it is lower, by Fisher's exact test (p at most 0.01).
            NotVerifiedError: there are too few examples for the test, or no accuracy to compare with.
        """
        right, count = self._right(artifact), len(self._labels)
        accuracy, (low, high) = right / count, proportion(right, count)
        found = f"{percent(accuracy)} ({100 * low:.1f} to {100 * high:.1f} %) on {count:,} unseen examples"
        stated, images = artifact.accuracy, self._manifest.images
        if stated is None:
            raise NotVerifiedError(Path(artifact.path), f"{found}; {MANIFEST} has no accuracy to compare it with")
        found += f", {percent(stated)} on the bundle's {images:,}"
        if self._p_value(right, stated) <= _WORSE:
            raise VerifyError(f"{found}: worse than it was measured (p ≤ {_WORSE}).")
        if self._p_value(0, stated) > _WORSE:
            raise NotVerifiedError(Path(artifact.path), f"{found}: too few to tell them apart")
        return accuracy, found

    def _p_value(self, right: int, stated: float) -> float:
        """Returns how probable so few right ones are if the file is as good as on the bundle's examples (one-sided)."""
        from scipy.stats import fisher_exact

        own = round(stated * self._manifest.images)
        table = [[right, len(self._labels) - right], [own, self._manifest.images - own]]
        return float(fisher_exact(table, alternative="less").pvalue)
