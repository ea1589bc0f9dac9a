"""Shows whether the threshold of export.reject keeps its promise through the int8 file of a bundle, over ten splits.

    python -m tools.benchmarks.rejection --out docs/evidence/rejection.json \
        --bundle exported_models/quickstart embedded:fashion_mnist_mini \
        --bundle exported_models/clothing folder:clothing160.zip

Runs the int8 file once on the validation and test examples of the bundle, from which no network learned weights. Each
seed divides these examples anew into a validation split, on which the threshold is chosen, and a test split, of the
sizes that they had. No network is trained. The counts of the splits are independent draws of the beta-binomial
distribution where no two probabilities are equal, whatever the file predicts, because the examples are divided at
random; equal probabilities, which int8 files give, can only make the promise safer. Writes JSON to --out and stdout: of
each promise the mean fraction over the splits, and the band that holds the mean of so many draws in 99 % of cases.
"""

import argparse
import json
import shlex
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import machine
from tfkd.bundle.manifest import read_manifest
from tfkd.bundle.source_images import open_images, raw_batches, rendering
from tfkd.errors import RequestError, TfkdError
from tfkd.files import write_json
from tfkd.formats import TIMED
from tfkd.recipe import Reject
from tfkd.verification import rejection

PROMISES = (Reject(max_error=0.05), Reject(max_error=0.02), Reject(coverage=0.9), Reject(coverage=0.7))
CONFIDENCE = 0.99


@dataclass(frozen=True)
class HeldOut:
    """What an int8 file predicts for the examples that no training has seen.

    Attributes:
        labels: int [n].
        probabilities: float32 [n, classes].
        validation: how many of them are drawn for a validation split.
        step: of the probabilities.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    validation: int
    step: float | None


def held_out(bundle: Path, source: str) -> HeldOut:
    """Runs the int8 file of a bundle on the validation and test examples of its source."""
    from tfkd.data.renderings import rendered
    from tfkd.verification import artifacts

    manifest = read_manifest(bundle)
    file = next((each for each in manifest.artifacts if (each.format in TIMED) and each.precision == "int8"), None)
    if file is None:
        raise RequestError(f"{bundle} has no int8 file; export one.")
    data = rendered(rendering(manifest), open_images(source, manifest)[0])
    splits = (data.validation, data.test)
    predicted = [
        artifacts.predict(bundle / file.path, file.format, raw_batches(split, manifest.signature)) for split in splits
    ]
    labels = np.concatenate([split.labels for split in splits])
    return HeldOut(labels, np.concatenate(predicted), len(data.validation), file.io.output.scale)


def over_splits(found: HeldOut, promise: Reject, seeds: range) -> dict[str, Any]:
    """Returns what the thresholds of all splits do on their test examples, beside the promise."""
    splits, n, test = [], found.validation, len(found.labels) - found.validation
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(found.labels))
        own, others = order[:n], order[n:]
        chosen = rejection.choose(found.labels[own], found.probabilities[own], promise, found.step)
        counts = rejection.counts(found.probabilities[others], found.labels[others], chosen.threshold or 0.0)
        splits.append({"seed": seed, "threshold": chosen.threshold, **counts.model_dump(mode="json")})
    column, rank = ("wrong", _rank_of_error) if promise.max_error else ("accepted", _rank_of_coverage)
    mean = statistics.fmean(split[column] for split in splits) / test
    low, high = band(rank(promise, n), n, test, len(splits))
    return {
        "promise": promise.model_dump(mode="json", exclude_none=True),
        "validation": n,
        "test": test,
        "expected": rank(promise, n) / (n + 1),
        "mean": mean,
        "band": [low, high],
        "within": low <= mean <= high,
        "coverage": statistics.fmean(split["accepted"] for split in splits) / test,
        "error": statistics.fmean(split["wrong"] for split in splits) / test,
        "splits": splits,
    }


def _rank_of_error(promise: Reject, examples: int) -> int:
    return int(np.floor((promise.max_error or 0) * (examples + 1) + 1e-9))


def _rank_of_coverage(promise: Reject, examples: int) -> int:
    return int(np.ceil((promise.coverage or 0) * (examples + 1) - 1e-9))


def band(rank: int, validation: int, test: int, splits: int) -> tuple[float, float]:
    """Returns the central 99 % of the mean of independent draws of the beta-binomial distribution, as fractions.

    Args:
        rank: of the order statistic among the validation examples.
        validation: their number.
        test: number of test examples of each draw.
        splits: number of draws.
    """
    from scipy.stats import betabinom

    one = betabinom.pmf(np.arange(test + 1), test, rank, validation + 1 - rank)
    total = one
    for _ in range(splits - 1):
        total = np.convolve(total, one)
    cumulated = total.cumsum()
    ends = [int(np.searchsorted(cumulated, each)) for each in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)]
    return ends[0] / (splits * test), ends[1] / (splits * test)


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", nargs=2, action="append", required=True, metavar=("FOLDER", "SOURCE"))
    parser.add_argument("--seeds", type=int, default=10, help="number of splits (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    measured: dict[str, Any] = {}
    try:
        for folder, source in options.bundle:
            found = held_out(Path(folder), source)
            measured[Path(folder).name] = [over_splits(found, each, range(1, options.seeds + 1)) for each in PROMISES]
    except TfkdError as error:
        parser.error(str(error))
    command = shlex.join(["python", "-m", "tools.benchmarks.rejection", *sys.argv[1:]])
    write_json(options.out, {"command": command, "environment": machine.environment(), "bundles": measured})
    shown = {
        name: [{field: value for field, value in each.items() if field != "splits"} for each in promises]
        for name, promises in measured.items()
    }
    print(json.dumps(shown))


if __name__ == "__main__":
    main()
