"""Kills run, sweep, compare, fit and export repeatedly, and compares their results bit by bit.

    python tools/benchmarks/kills.py --out docs/evidence/kills.json

Each command is first run once without a kill: the reference. Then it is run in new folders, and its whole process group
is killed with SIGKILL at a random time within the reference's duration; the same command follows in the same folder, up
to four kills in a row, until one finishes. Only kills that hit a working process count. At the end of a folder
everything is compared with the reference:

    predictions of every training on the test images; every published file, .tflite and Core ML file; sweep.json,
    comparison.json, result.json and manifest.json without dates, seconds, latencies and memory
    the names of all files in runs/ and exported_models/, hidden ones included: nothing is missing or left over
    $TMPDIR, which is empty, and /dev/shm, which holds nothing new

The recipe is a tiny one on generated photos (`tiny_runs`). JSON goes to stdout; the exit code is 1 if a folder
differs.
"""

import argparse
import collections
import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tiny_runs

from tfkd import machine
from tfkd.files import write_json

KILLS_IN_A_ROW = 4
OWN_MODEL = "own.keras"
COMMANDS = {
    "run": ("run", tiny_runs.RECIPE),
    "sweep": ("sweep", tiny_runs.RECIPE, "distill.views=1,2"),
    "compare": ("compare", tiny_runs.RECIPE),
    "fit": (
        *("fit", tiny_runs.RECIPE, "--max-kb=11", "--min-relative-accuracy=0.01", 'fit.families=["models:small"]'),
        *("fit.widths=[0.5,1.0]", "fit.sizes=[32]", "fit.rounds=1", "fit.finalists=1"),
    ),
    "export": (
        *("export", OWN_MODEL, "--labels", "labels.txt", "--data", "folder:photos"),
        *("--tflite", "fp32,fp16,int8", "--coreml", "mlmodel,mlpackage", "bench.runs=5", "bench.warmup=1"),
        *("export.calibration_images=8", "export.golden_images=2", "gates.better_than_chance=false"),
    ),
}
SEEDS = ("compare", "export", "run", "sweep", "fit")  # each command has random times of its own
JUDGED = ("sweep.json", "comparison.json", "result.json", "manifest.json")
MEASURED = (
    "created",
    "bench",
    "ms",
    "mb",
    "seconds",
    "seconds_training",
    "teacher_seconds",
    "latency_ms",
    "latency_all_ms",
    "peak_memory_mb",
)
MODELS = """
def _network(k, image_size, classes, width, dropout, momentum):
    image = k.Input((image_size, image_size, 3))
    x = k.layers.Rescaling(1 / 128, offset=-1.0)(image)
    x = k.layers.Conv2D(width, 3, strides=4, padding="same", use_bias=False, name="stem")(x)
    x = k.layers.ReLU(max_value=6.0)(k.layers.BatchNormalization(momentum=momentum)(x))
    x = k.layers.Conv2D(4 * width, 1, use_bias=False, name="expand")(x)
    x = k.layers.ReLU(max_value=6.0)(k.layers.BatchNormalization(momentum=momentum)(x))
    x = k.layers.ReLU()(k.layers.Conv2D(width, 3, padding="same", name="project")(x))
    x = k.layers.Dropout(dropout)(k.layers.GlobalAveragePooling2D()(x))
    return k.Model(image, k.layers.Dense(classes, name="logits")(x))


def teacher(*, image_size, classes):
    import keras

    return _network(keras, 40, classes, 16, 0.1, 0.8)


def small(k, *, image_size, classes, width, activation, dropout, batch_norm_momentum):
    return _network(k, image_size, classes, round(8 * width), dropout, batch_norm_momentum)


def student(k, *, image_size, classes, width, activation, dropout, batch_norm_momentum):
    return _network(k, image_size, classes, 16, dropout, batch_norm_momentum)
"""
RECIPE = """
from tfkd.recipe import *

recipe = Recipe(
    name="tiny",
    data=Data(source="folder:photos", image_size=32),
    teachers=[Teacher(model="models:teacher", weights="none", image_size=40,
                      fine_tune=FineTune(epochs=3, batch_size=16, learning_rate=1e-2))],
    student=Student(model="models:student"),
    distill=Distill(views=2, training=Training(epochs=4, batch_size=16, learning_rate=1e-2)),
    export=Export(tflite=["fp32", "int8"], coreml=["mlmodel"], calibration_images=8, golden_images=2),
    bench=Bench(runs=5, warmup=1),
    gates=Gates(better_than_chance=False, not_worse_than_control=False, min_relative_accuracy=None, diagnosis=False,
                max_accuracy_drop=1.0, min_agreement=0.0, one_partition=False),
)
"""


@dataclass
class Ended:
    """The final state of a folder.

    Attributes:
        command: a name of COMMANDS.
        kills: the step of the command, and the time of the kill as a fraction of the reference's duration.
        seconds: of all calls.
        different: files that are not as in the reference, missing or left over.
        failed: output of the last call, if it failed.
    """

    command: str
    kills: list[tuple[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    different: list[str] = field(default_factory=list)
    failed: str = ""

    @property
    def identical(self) -> bool:
        """Whether the folder is the reference, bit by bit."""
        return not self.different and not self.failed


def main() -> None:
    """Kills every command `--kills` times, and prints the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=16, help="minimum number of kills per command")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="commands, separated by commas")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder")
    parser.add_argument("--out", type=Path, help="file for the JSON, written after every folder")
    parser.add_argument("--resume", action="store_true", help="count the folders in --out that ended well")
    options = parser.parse_args()
    ended = _earlier(options.out) if options.resume else []
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        os.environ["XDG_CACHE_HOME"] = f"{temporary}/cache"  # where tfkd caches measurements of the machine
        homes = _Homes(Path(temporary))
        for command in options.commands.split(","):
            earlier = [each for each in ended if each.command == command]
            for each in _killed(homes, command, options.kills, options.seed, earlier):
                ended.append(each)
                print(f"{command}: {each}", file=sys.stderr, flush=True)
                if options.out:
                    write_json(options.out, _report(ended))
    print(json.dumps(_report(ended), indent=2))
    sys.exit(0 if all(each.identical for each in ended) else 1)


class _Homes:
    """Makes folders in which the commands can run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = folder / "template"
        tiny_runs.fill(self._template, RECIPE, MODELS, photos=24)
        trained = self.new("trained")
        _finish(tiny_runs.Call(trained, (*COMMANDS["run"], "--until", "teacher")))
        (teacher,) = trained.glob("runs/tiny/teacher/*/teacher.keras")
        shutil.copy(teacher, self._template / OWN_MODEL)

    def new(self, name: str) -> Path:
        return Path(shutil.copytree(self._template, self._folder / name, copy_function=shutil.copy2))


def _killed(homes: _Homes, command: str, kills: int, seed: int, earlier: list[Ended]) -> Iterator[Ended]:
    """Yields the final states of folders in which a command was killed, until there were enough kills."""
    if sum(len(each.kills) for each in earlier) >= kills:
        return
    home = homes.new(f"{command}-reference")
    start = time.perf_counter()
    _finish(tiny_runs.Call(home, COMMANDS[command]))
    duration, reference = time.perf_counter() - start, _content(home)
    counted, number = sum(len(each.kills) for each in earlier), len(earlier)
    while counted < kills:
        random = np.random.default_rng([seed, SEEDS.index(command), number])
        shm = _shared_memory()
        home = homes.new(f"{command}-{number}")
        ended = _ended(home, command, duration, random)
        found = _content(home) | {f"/dev/shm/{name}": "" for name in _shared_memory() - shm}
        ended.different = sorted(name for name in {**found, **reference} if found.get(name) != reference.get(name))
        counted, number = counted + len(ended.kills), number + 1
        yield ended
        if ended.identical:
            shutil.rmtree(home)


def _ended(home: Path, command: str, duration: float, random: np.random.Generator) -> Ended:
    """Runs a command, killing it at random times, until it finishes."""
    ended, start = Ended(command), time.perf_counter()
    while True:
        call = tiny_runs.Call(home, COMMANDS[command])
        moment = float(random.random())
        if len(ended.kills) == KILLS_IN_A_ROW or call.ends_within(moment * duration):
            code, printed = call.end()
            ended.seconds = round(time.perf_counter() - start, 1)
            ended.failed = printed[-2000:] if code != 0 or "Traceback" in printed else ""
            return ended
        call.kill()
        ended.kills.append((_at(call.printed()), round(moment, 3)))


def _finish(call: tiny_runs.Call) -> None:
    code, printed = call.end()
    if code != 0:
        raise SystemExit(f"A command that was not killed ended with {code}: {printed}")


def _at(printed: str) -> str:
    """Returns the last step that a command printed."""
    steps = re.findall(r"^(?:([a-z][\w -]*?)(?: …|:)|  (?:android|ios)/.*\.(\w+)$)", printed, re.MULTILINE)
    return next((name or f".{suffix}" for name, suffix in reversed(steps)), "start")


def _content(home: Path) -> dict[str, str]:
    """Returns the hashes of files that must be the same; "" for files of which only the name must be."""
    found = {name: "" for name in tiny_runs.tree(home) if "/data/check-" not in name}
    found |= tiny_runs.tree(home, lambda path: _is_result(home, path))
    for name in found:
        if Path(name).name in JUDGED:
            found[name] = json.dumps(tiny_runs.without(tiny_runs.read(home / name), MEASURED), sort_keys=True)
    return found | {path.relative_to(home).as_posix(): "" for path in (home / tiny_runs.TEMPORARY).rglob("*")}


def _is_result(home: Path, path: Path) -> bool:
    inside = path.relative_to(home).as_posix()
    published = inside.startswith("exported_models/") and "/measurements/" not in inside
    is_model = path.suffix in (".tflite", ".mlmodel") or path.name == "test_logits.npy"
    return is_model or (published and path.name not in (*tiny_runs.TIMED, ".tiny.lock", ".own.lock"))


def _shared_memory() -> set[str]:
    """Returns what is in /dev/shm that no process has mapped, as a semaphore of a living one is."""
    mapped = set[str]()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            mapped |= {line.split("/dev/shm/")[1] for line in maps.read_text().splitlines() if "/dev/shm/" in line}
    folder = Path("/dev/shm")
    return {path.name for path in folder.iterdir()} - mapped if folder.is_dir() else set()


def _earlier(path: Path) -> list[Ended]:
    folders = tiny_runs.read(path)["folders"] if path.is_file() else []
    found = [Ended(**{**each, "kills": [(at, when) for at, when in each["kills"]]}) for each in folders]
    return [each for each in found if each.identical]


def _report(ended: list[Ended]) -> dict[str, Any]:
    return {
        "command": shlex.join(["python", *sys.argv]),
        "environment": machine.environment(),
        "kills": sum(len(each.kills) for each in ended),
        "folders that ended": len(ended),
        "of them bit-identical": sum(each.identical for each in ended),
        "commands": {command: _summary([each for each in ended if each.command == command]) for command in COMMANDS},
        "folders": [asdict(each) for each in ended],
    }


def _summary(ended: list[Ended]) -> dict[str, Any]:
    return {
        "kills": sum(len(each.kills) for each in ended),
        "folders": len(ended),
        "bit-identical": sum(each.identical for each in ended),
        "killed at": dict(collections.Counter(at for each in ended for at, _ in each.kills)),
    }


if __name__ == "__main__":
    main()
