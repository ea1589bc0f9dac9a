"""Damages every file of a finished and of a half-finished run, one at a time, and runs the recipe again.

    python tools/benchmarks/corruption.py --out corruption.json

Each file is damaged in five ways: a byte changed, cut in half, emptied, removed, no longer UTF-8. Then the same command
is given up to three times. What came of it is one of

    made again       the results are those of the unbroken run, and a line said what was made again or published again
    without effect   the results are those of the unbroken run, which does not read that file or reads it no more
    refused          one line and exit code 1, 2 or 4; "three times" where the third command was refused as well
    used silently    exit code 0, and other results
    traceback        anything else

Results are the answers of teacher, control and student to the test images, and the published files but for those that
hold times. The run is a tiny one on generated photos. JSON goes to stdout; exit code 1 where anything was used
silently, refused three times, or ended in a traceback.
"""

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfkd import machine
from tfkd.files import sha256, write_json

TRIES = 3
RUNS = ("finished", "half-finished")
TIMED = ("manifest.json", "SHA256SUMS", "MODEL_CARD.md", "report.html")  # they hold the date or latencies
AGAIN = ("made again", "publishing", " … (", "done in")
MODELS = """
def teacher(*, image_size, classes):
    import keras

    image = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 128, offset=-1.0)(image)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(image, keras.layers.Dense(classes)(x))


def student(k, *, image_size, classes, width, activation, dropout, batch_norm_momentum):
    image = k.Input((image_size, image_size, 3))
    x = k.layers.Rescaling(1 / 128, offset=-1.0)(image)
    x = k.layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = k.layers.GlobalAveragePooling2D()(k.layers.ReLU(max_value=6.0)(x))
    return k.Model(image, k.layers.Dense(classes)(x))
"""
RECIPE = """
from tfkd.recipe import *

recipe = Recipe(
    name="tiny",
    data=Data(source="folder:photos", image_size=32),
    teachers=[Teacher(model="models:teacher", weights="none", image_size=32,
                      fine_tune=FineTune(epochs=2, batch_size=16, learning_rate=1e-2))],
    student=Student(model="models:student"),
    distill=Distill(views=2, training=Training(epochs=3, batch_size=16, learning_rate=1e-2)),
    export=Export(tflite=["fp32"], coreml=["mlmodel"], calibration_images=8, golden_images=2),
    bench=Bench(runs=5, warmup=1),
    gates=Gates(better_than_chance=False, not_worse_than_control=False, min_relative_accuracy=None, diagnosis=False),
)
"""

DAMAGES: dict[str, Callable[[bytes, int], bytes | None]] = {
    "byte": lambda content, place: content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
    "half": lambda content, place: content[: len(content) // 2],
    "empty": lambda content, place: b"",
    "gone": lambda content, place: None,
    "not UTF-8": lambda content, place: content[:place] + b"\xff\xfe" + content[place + 2 :],
}


def main() -> None:
    """Makes the runs, damages copies of them, and prints what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sample", type=int, help="damage only so many files of each run, drawn from the seed")
    parser.add_argument("--damages", default=",".join(DAMAGES), help="which, separated by commas")
    parser.add_argument("--only", choices=RUNS, help="damage this run alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes")
    parser.add_argument("--out", type=Path, help="file for the JSON, written after every case")
    asked = parser.parse_args()
    random = np.random.default_rng(asked.seed)
    with tempfile.TemporaryDirectory(dir=asked.folder) as temporary:
        states, right = _states(Path(temporary))
        states = {name: home for name, home in states.items() if asked.only in (None, name)}
        counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in states}
        noted: list[dict[str, Any]] = []
        for name, case, damage, place in _cases(states, asked.damages.split(","), asked.sample, random):
            outcome, said = _outcome(states[name], case, damage, place, right)
            counts[name][outcome] += 1
            if outcome not in ("made again", "without effect"):
                noted.append({"run": name, "file": case, "damage": damage, "outcome": outcome, "said": said})
            print(f"{name}: {case}, {damage}: {outcome}", file=sys.stderr, flush=True)
            told = {"command": shlex.join(["python", *sys.argv]), "environment": machine.environment()}
            told |= {"cases": {name: dict(each) for name, each in counts.items()}, "noted": noted}
            if asked.out:
                write_json(asked.out, told)
    print(json.dumps(told, indent=2))
    bad = ("used silently", "traceback", "refused three times")
    sys.exit(1 if any(each[outcome] for each in counts.values() for outcome in bad) else 0)


def _states(folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Makes a finished run, and one that was killed in the trainings; returns their folders and the right results."""
    home = folder / "home"
    random = np.random.default_rng(0)
    for label, name in enumerate(("sky", "grass", "tomato")):
        (home / "photos" / name).mkdir(parents=True)
        for number in range(24):
            pixels = random.integers(0, 160, (36, 40, 3))
            pixels[..., 2 - label] += 60
            Image.fromarray(pixels.astype(np.uint8)).save(home / "photos" / name / f"{number:02d}.png")
    (home / "models.py").write_text(MODELS)
    (home / "recipe.py").write_text(RECIPE)
    half = folder / "half"
    shutil.copytree(home, half)
    code, said = _run(home)
    if code != 0:
        raise SystemExit(f"The run itself ended with {code}: {said}")
    _kill_in_the_trainings(half)
    return dict(zip(RUNS, (home, half), strict=True)), _results(home)


def _kill_in_the_trainings(home: Path) -> None:
    process = subprocess.Popen(_command(), cwd=home, stdout=subprocess.DEVNULL, start_new_session=True)
    while not any((home / "runs/tiny").glob("student/*/seed-1/checkpoint.npz")):
        if process.poll() is not None:
            raise SystemExit("The run that was to be killed has ended.")
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _cases(
    states: dict[str, Path], damages: list[str], sample: int | None, random: np.random.Generator
) -> Iterator[tuple[str, str, str, float]]:
    for name, home in states.items():
        files = [path for root in ("runs", "exported_models") for path in sorted((home / root).rglob("*"))]
        named = [path.relative_to(home).as_posix() for path in files if path.is_file()]
        chosen = named if sample is None else sorted(random.choice(named, min(sample, len(named)), replace=False))
        for case in chosen:
            for damage in damages:
                yield name, case, damage, random.random()


def _outcome(home: Path, case: str, damage: str, place: float, right: dict[str, str]) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(dir=home.parent) as temporary:
        copy = Path(temporary) / "home"
        shutil.copytree(home, copy, copy_function=shutil.copy2)
        path = copy / case
        content = path.read_bytes()
        changed = DAMAGES[damage](content, int(place * len(content))) if content else None
        path.unlink()
        if changed is not None:
            path.write_bytes(changed)
        refused = 0
        for _ in range(TRIES):
            code, said = _run(copy)
            if code == 0 and "Traceback" not in said:
                break
            if code not in (1, 2, 4) or "Traceback" in said:
                return "traceback", said[-2000:]
            refused += 1
        if refused:
            return "refused three times" if refused == TRIES else "refused", said[-500:]
        if _results(copy) != right:
            return "used silently", said[-2000:]
        fresh = home.name == "home" and not any(words in said for words in AGAIN)
        return ("without effect" if fresh else "made again"), said


def _results(home: Path) -> dict[str, str]:
    """Returns the hashes of what a run is for."""
    kept = [*(home / "runs/tiny").glob("*/*/test_logits.npy"), *(home / "runs/tiny").glob("*/*/*/test_logits.npy")]
    published = [path for path in (home / "exported_models/tiny").rglob("*") if path.is_file()]
    chosen = [*kept, *(path for path in published if path.name not in TIMED)]
    return {path.relative_to(home).as_posix(): sha256(path) for path in chosen}


def _command() -> list[str]:
    return [sys.executable, "-m", "tfkd.cli", "run", "recipe.py"]


def _run(home: Path) -> tuple[int, str]:
    """Runs the recipe in a process that has TensorFlow already; returns the exit code and all that was printed."""
    log = home / "log.txt"
    process = _FORKSERVER.Process(target=_call, args=(home, log))
    process.start()
    process.join()
    return process.exitcode or 0, log.read_text(encoding="utf-8", errors="replace")


def _call(home: Path, log: Path) -> None:
    os.chdir(home)
    sys.path[:] = [path for path in sys.path if path != str(Path(__file__).parent)]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    from tfkd import cli

    with contextlib.suppress(KeyboardInterrupt):
        cli.main(["run", "recipe.py"])


_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["tfkd.distill.preloaded", "tfkd.pipeline", "tfkd.report.summary"])


if __name__ == "__main__":
    main()
