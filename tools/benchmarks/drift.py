"""Measures how soon `tfkd drift` notices a change, how often it is wrong, and which networks degrade the least.

    python tools/benchmarks/drift.py pipelines/clothing.py data.source=folder:clothing160.zip --splits test,validation
        --foreign cifar10.zip --out docs/evidence/drift_clothing.json

Runs the recipe as far as its files are verified (finished stages are reused), and predicts the measured examples once
with each network: as they are, and corrupted in five ways and strengths. Reference and phones are then drawn from the
stored predictions of the student's int8 file, again and again: half of the examples, drawn anew each time, are the
reference, and phones see others. Reported are

    false alarms   over clean drawings, with the 99 % binomial band of the stated rate
    detections     by change, strength and number of predictions: corruptions, other frequencies of classes, and
                   examples of no known class (photos of --foreign)
    accuracies     of teacher, control, student, its int8 file, and the teacher quantized, and pruned and quantized
    estimates      of the accuracy from counts alone, against the true one

JSON goes to stdout, tables to stderr. The exit code is 1 if false alarms are outside of the band.
"""

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drift_shifts as shifts
import numpy as np
from scipy import stats

from tfkd import machine
from tfkd.bundle.monitoring import ReferenceRows
from tfkd.data import open_unlabelled
from tfkd.data.batches import plain_batches
from tfkd.data.dataset import Split
from tfkd.data.joined import joined
from tfkd.errors import RequestError, TfkdError
from tfkd.files import write_json
from tfkd.monitor import estimates, label_shift, looks
from tfkd.pipeline import compare
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run, run_stages
from tfkd.pipeline.stage import locked
from tfkd.pipeline.stages.export import bundle_files, teacher_files
from tfkd.progress import for_output
from tfkd.recipe import Recipe, files
from tfkd.signature import Signature
from tfkd.training.saving import save_array
from tfkd.verification import tflite
from tfkd.verification.counting import features

RATE = 0.01
SIZES = (50, 100, 200, 500, 1000)
DRAWINGS = 499  # with the observed counts 500, of which five are beyond the rate
SEED = 1
MOST_EXAMPLES = 2_400  # measured, drawn by chance; more than two thousand, so that 1,000 predictions can be drawn
CLEAN, FOREIGN = "clean", "foreign"
STUDENT, MONITORED = "student fp32", "student int8"
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of one network for the measured examples.

    Attributes:
        labels: int64 [n], the true classes.
        probabilities: float32 [n, classes], by name of the change: clean, "noise 3", …, and foreign with other rows.
    """

    labels: np.ndarray
    probabilities: Mapping[str, np.ndarray]


def main() -> None:
    """Measures, and prints the tables and the JSON."""
    options = _options()
    try:
        recipe = files.load(options.recipe, options.overrides)
        with contextlib.redirect_stdout(sys.stderr):  # progress
            found = predicted(recipe, options.runs, options.splits.split(","), options.foreign)
    except TfkdError as error:
        sys.exit(f"{options.recipe}: {error}")
    monitored = found[MONITORED]
    report: dict[str, Any] = {
        "benchmark": "drift",
        "command": shlex.join(["python", *sys.argv]),
        "machine": machine.environment(),
        "recipe": recipe.model_dump(mode="json"),
        "examples": len(monitored.labels),
        "rate": RATE,
        "drawings": DRAWINGS,
        "false_alarms": false_alarms(monitored, options.clean),
        "detections": detections(monitored, options.repeats),
        "accuracies": accuracies(found),
        "estimates": estimated(monitored),
    }
    print(table(report), file=sys.stderr)
    print(json.dumps(report, indent=2))
    if options.out:
        write_json(options.out, report)
    sys.exit(0 if all(each["within"] for each in report["false_alarms"].values()) else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", help="key=value")
    parser.add_argument("--splits", default="test", help="measured splits, separated by commas")
    parser.add_argument("--foreign", type=Path, help="folder or zip of photos of no class of the recipe")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that keeps trainings and predictions")
    parser.add_argument("--clean", type=int, default=1000, help="drawings for false alarms, per number of predictions")
    parser.add_argument("--repeats", type=int, default=40, help="drawings per change, strength and number")
    parser.add_argument("--out", type=Path, help="file for a copy of the JSON")
    return parser.parse_args()


def predicted(recipe: Recipe, runs: Path, splits: list[str], foreign: Path | None) -> dict[str, Predicted]:
    """Returns the predictions of every network; those of earlier calls are kept in the folder of the run."""
    folder = RunFolder(runs / recipe.name)
    with locked(folder.path):
        run = open_run(recipe, folder, for_output(), keep=True)
        run_stages(run, "verify", runs)
        run.start_tensorflow()
        networks = dict(_networks(run))
        return {name: _of_network(run, name, *network, splits, foreign) for name, network in networks.items()}


def _networks(run: RunContext) -> Iterator[tuple[str, tuple[Path, Signature]]]:
    """Yields the .tflite file and the signature of each network by its name."""
    own = run.shipped.reading.signature(run.recipe.data)
    variants = {variant.name: variant for variant in compare.variants(run)}
    yield "teacher fp32", (next(iter(teacher_files(run).values())), variants["teacher int8"].signature)
    for name, variant in variants.items():
        if name in ("control fp32", "teacher int8", "teacher pruned int8"):
            path = run.folder.path / "drift" / name.replace(" ", "_") / compare.FILE
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                variant.make(path)
            yield name, (path, variant.signature)
    for precision in ("fp32", "int8"):
        yield f"student {precision}", (bundle_files(run) / f"android/{run.recipe.name}_{precision}.tflite", own)


def _of_network(
    run: RunContext, name: str, file: Path, signature: Signature, splits: list[str], foreign: Path | None
) -> Predicted:
    split = _measured(run, splits)
    kept = run.folder.path / "drift" / name.replace(" ", "_")
    kept.mkdir(parents=True, exist_ok=True)
    changes: dict[str, tuple[str, int] | None] = {CLEAN: None}
    changes |= {f"{each} {strength}": (each, strength) for each in shifts.CORRUPTIONS for strength in shifts.STRENGTHS}
    found = {change: _kept(kept / f"{change}.npy", file, split, signature, how) for change, how in changes.items()}
    if foreign is not None and name == MONITORED:
        data = run.recipe.data.model_copy(update={"max_rejected": 1.0})
        others = open_unlabelled(f"folder:{foreign}", data, run.data.ranges)
        found[FOREIGN] = _kept(kept / f"{FOREIGN}.npy", file, _some(others, len(split)), signature, None)
    return Predicted(split.labels, found)


def _measured(run: RunContext, splits: list[str]) -> Split:
    parts = [getattr(run.shipped, name) for name in splits]
    whole = parts[0]
    for part in parts[1:]:
        whole = joined(whole, part)
    return _some(whole, MOST_EXAMPLES)


def _some(split: Split, most: int) -> Split:
    order = np.random.default_rng(SEED).permutation(len(split))[:most]
    return split.take(np.sort(order))


def _kept(path: Path, file: Path, split: Split, signature: Signature, how: tuple[str, int] | None) -> np.ndarray:
    """Returns float32 [n, classes] probabilities, from a file of an earlier call if there is one."""
    if not path.is_file():
        print(f"  {path.parent.name}: {path.stem}", file=sys.stderr, flush=True)
        save_array(tflite.predict(file, _batches(split, signature, how)), path)
    found: np.ndarray = np.load(path, allow_pickle=False)
    if len(found) != len(split):
        raise RequestError(f"{path} is of {len(found)} examples, not {len(split)}. Remove it.")
    return found


def _batches(split: Split, signature: Signature, how: tuple[str, int] | None) -> Iterator[np.ndarray]:
    for number, (inputs, _) in enumerate(plain_batches(split, signature, _BATCH)):
        photos = inputs.numpy()
        yield photos if how is None else shifts.corrupted(photos, *how, seed=SEED + number)


def false_alarms(found: Predicted, repeats: int) -> dict[str, dict[str, Any]]:
    """Returns the alarms over clean drawings by number of predictions, and the 99 % band of the stated rate."""
    rows = features(found.probabilities[CLEAN]).binned()
    low, high = stats.binom.interval(0.99, repeats, RATE)
    results = {}
    for size in _sizes(len(rows)):
        alarms = sum(_is_alarm(rows, _Halves(len(rows), repeat).clean(size), rows, repeat) for repeat in range(repeats))
        results[str(size)] = {
            "alarms": alarms,
            "drawings": repeats,
            "band": [int(low), int(high)],
            "within": bool(low <= alarms <= high),
        }
        print(f"  {size}: {alarms} false alarms of {repeats}", file=sys.stderr, flush=True)
    return results


def detections(found: Predicted, repeats: int) -> dict[str, dict[str, dict[str, float | None]]]:
    """Returns the fraction of drawings with an alarm, by change, strength and number of predictions.

    None: so many examples cannot be drawn with these frequencies of classes.
    """
    clean = features(found.probabilities[CLEAN]).binned()
    classes, results = found.probabilities[CLEAN].shape[1], dict[str, dict[str, dict[str, float | None]]]()
    for name in (*shifts.CORRUPTIONS, "class frequencies", *(["new class"] if FOREIGN in found.probabilities else [])):
        results[name] = {}
        for strength in shifts.STRENGTHS:
            results[name][str(strength)] = {
                str(size): _fraction(
                    [_detected(found, clean, classes, name, strength, size, each) for each in range(repeats)]
                )
                for size in _sizes(len(clean))
            }
        print(f"  {name}: {results[name]}", file=sys.stderr, flush=True)
    return results


def _fraction(alarms: list[bool | None]) -> float | None:
    return None if None in alarms else float(np.mean([bool(each) for each in alarms]))


def _detected(
    found: Predicted, clean: np.ndarray, classes: int, name: str, strength: int, size: int, repeat: int
) -> bool | None:
    halves = _Halves(len(clean), repeat)
    if name in shifts.CORRUPTIONS:
        changed = features(found.probabilities[f"{name} {strength}"]).binned()
        return _is_alarm(clean, halves.clean(size), changed, repeat)
    if name == "class frequencies":
        labels = found.labels[halves.phones]
        chosen = shifts.shifted(labels, classes, size, strength, halves.random)
        return None if chosen is None else _is_alarm(clean, (halves.reference, halves.phones[chosen]), clean, repeat)
    foreign = features(found.probabilities[FOREIGN]).binned()
    count = round(shifts.NEW_FRACTIONS[strength - 1] * size)
    mixed = np.concatenate(
        [clean[halves.phones[: size - count]], foreign[halves.random.permutation(len(foreign))[:count]]]
    )
    return _is_alarm(clean, (halves.reference, np.arange(len(mixed))), mixed, repeat)


class _Halves:
    """Examples in two halves that are drawn anew from each seed: of the reference, and those that phones see."""

    def __init__(self, count: int, seed: int) -> None:
        self.random = np.random.default_rng([SEED, seed])
        order = self.random.permutation(count)
        self.reference, self.phones = order[: count // 2], order[count // 2 :]

    def clean(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        return self.reference, self.phones[:size]


def _is_alarm(clean: np.ndarray, positions: tuple[np.ndarray, np.ndarray], seen: np.ndarray, seed: int) -> bool:
    classes = int(max(clean[:, 0].max(), seen[:, 0].max())) + 1
    reference, phones = positions
    found = looks.tested(clean[reference], [looks.histograms_of(seen[phones], classes)], [], DRAWINGS, seed)
    return bool(found.corrected.min() <= RATE)


def _sizes(examples: int) -> list[int]:
    """Returns the numbers of predictions that can be drawn without drawing an example twice."""
    return [size for size in SIZES if size <= examples // 2]


def accuracies(found: Mapping[str, Predicted]) -> dict[str, dict[str, float]]:
    """Returns the accuracy of every network, 0 to 1, on the examples as they are and corrupted."""
    return {
        name: {
            change: float((rows.argmax(axis=1) == each.labels).mean())
            for change, rows in each.probabilities.items()
            if change != FOREIGN
        }
        for name, each in found.items()
    }


def estimated(found: Predicted) -> dict[str, dict[str, float | None]]:
    """Returns true and estimated accuracies: reference and phones are a half of the examples each."""
    clean, halves = features(found.probabilities[CLEAN]).binned(), _Halves(len(found.labels), 0)
    rows = ReferenceRows(found.labels[halves.reference], clean[halves.reference], None)
    classes = [str(number) for number in range(found.probabilities[CLEAN].shape[1])]
    results: dict[str, dict[str, float | None]] = {}
    for change, probabilities in found.probabilities.items():
        if change != FOREIGN:
            results[change] = _estimate(found, rows, features(probabilities).binned(), halves.phones, classes)
    for strength in shifts.STRENGTHS:
        labels = found.labels[halves.phones]
        drawn = (
            shifts.shifted(labels, len(classes), count, strength, halves.random) for count in range(len(labels), 0, -1)
        )
        chosen = halves.phones[next(each for each in drawn if each is not None)]  # as many as there are
        results[f"class frequencies {strength}"] = _estimate(found, rows, clean, chosen, classes)
    return results


def _estimate(
    found: Predicted, rows: ReferenceRows, seen: np.ndarray, phones: np.ndarray, classes: list[str]
) -> dict[str, float | None]:
    counts = looks.histograms_of(seen[phones], len(classes))
    shift = label_shift.estimated(rows, counts, classes, SEED)
    return {
        "true": float((seen[phones, 0] == found.labels[phones]).mean()),
        "by confidence": estimates.by_confidence(rows, counts[1], SEED).value,
        "by class frequencies": shift.accuracy if shift.explains else None,
    }


def table(report: dict[str, Any]) -> str:
    """Returns the false alarms, the detections and the accuracies as text."""
    lines = [f"{'false alarms':22}" + "".join(f"{size:>8}" for size in report["false_alarms"])]
    lines += [f"{'':22}" + "".join(f"{each['alarms']:>8}" for each in report["false_alarms"].values())]
    for name, strengths in report["detections"].items():
        for strength, rates in strengths.items():
            title = f"{name} {strength}"
            lines.append(
                f"{title:22}"
                + "".join(f"{'–' if rate is None else f'{100 * rate:.0f}%':>8}" for rate in rates.values())
            )
    names = list(report["accuracies"])
    lines.append(f"{'accuracy, %':16}" + "".join(f"{name:>22}" for name in names))
    for change in next(iter(report["accuracies"].values())):
        row = "".join(f"{100 * report['accuracies'][name][change]:22.1f}" for name in names)
        lines.append(f"{change:16}{row}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
