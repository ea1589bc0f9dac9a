"""Damages every file of a finished and of two killed runs, one at a time, and runs the recipe again.

    python tools/benchmarks/corruption.py --out docs/evidence/corruption.json

One run is finished and published, one was killed in the students' trainings, and one in the export. Each of their files
is damaged in five ways: a byte changed, cut in half, emptied, removed, no longer UTF-8. Then the same command is run
up to three times. The outcome is one of

    made again       the results are those of the unbroken run, and the output says what was made or published again
    without effect   the results are those of the unbroken run, and the output is that of the undamaged run: this
                     command does not read the file, or writes it in any case
    refused          one line and exit code 1, 2 or 4, and a later command ended well
    refused three times
    used silently    exit code 0 and other results, or a published bundle that fails `tfkd verify`
    traceback        anything else

Results are the predictions of teacher, control and student on the test images, and the published files except those
that contain times. The run is a tiny one on generated photos (`tiny_runs`). JSON goes to stdout; the exit code is 1 if
anything was used silently, refused three times, or ended in a traceback.
"""

import argparse
import collections
import concurrent.futures
import json
import multiprocessing
import os
import re
import shlex
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tiny_runs

from tfkd import machine
from tfkd.files import write_json

TRIES = 3
COMMAND = ("run", tiny_runs.RECIPE)
BUNDLE = "exported_models/tiny"
FINE = ("made again", "without effect")
BAD = ("used silently", "traceback", "refused three times")
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
# The run is killed once this file exists.
KILLED = {
    "killed in the trainings": "runs/tiny/control/*/seed-1/checkpoint.npz",
    "killed in the export": "runs/tiny/export/bundle/android/*.tflite",
}
FINISHED = "finished"

DAMAGES: dict[str, Callable[[bytes, int], bytes | None]] = {
    "byte": lambda content, place: content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
    "half": lambda content, place: content[: len(content) // 2],
    "empty": lambda content, place: b"",
    "gone": lambda content, place: None,
    "not UTF-8": lambda content, place: content[:place] + b"\xff\xfe" + content[place + 2 :],
}


@dataclass(frozen=True)
class State:
    """A run to damage.

    Attributes:
        name: "finished", or where it was killed.
        home: its folder, which is not changed.
        published: hashes of its published files.
        notices: lines of the undamaged run's next command about its work.
    """

    name: str
    home: Path
    published: dict[str, str]
    notices: frozenset[str]


@dataclass(frozen=True)
class Case:
    """One damage to one file.

    Attributes:
        state: the run.
        file: path below the run's home.
        damage: a name of DAMAGES.
        place: of the damaged byte, as a fraction of the file, 0 to 1.
    """

    state: State
    file: str
    damage: str
    place: float

    @property
    def key(self) -> tuple[str, str, str]:
        """Names the case in the results, with "*" for fingerprints."""
        return self.state.name, re.sub(r"\b[0-9a-f]{16}\b", "*", self.file), self.damage


def main() -> None:
    """Makes the runs, damages copies of them, and prints the outcomes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--sample", type=int, help="number of files per run to damage, drawn from the seed; default: all"
    )
    parser.add_argument("--damages", default=",".join(DAMAGES), help="which, separated by commas")
    parser.add_argument("--runs", default=",".join((FINISHED, *KILLED)), help="which, separated by commas")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="cases in parallel")
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder")
    parser.add_argument("--out", type=Path, help="file for the JSON, written after every case")
    parser.add_argument("--resume", action="store_true", help="keep the good outcomes in --out, and try the others")
    options = parser.parse_args()
    outcomes, noted = _earlier(options.out) if options.resume else ({}, [])
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        os.environ["XDG_CACHE_HOME"] = f"{temporary}/cache"  # where tfkd caches measurements of the machine
        states, right = _states(Path(temporary))
        chosen = [state for state in states if state.name in options.runs.split(",")]
        cases = list(_cases(chosen, options.damages.split(","), options.sample, options.seed))
        due = [case for case in cases if _of(outcomes, case) not in FINE]
        np.random.default_rng(options.seed).shuffle(due)  # type: ignore[arg-type]  # so that a partial result is a random sample
        for case, (outcome, printed) in _tried(due, right, options.workers):
            name, file, damage = case.key
            outcomes.setdefault(name, {}).setdefault(file, {})[damage] = outcome
            if outcome not in FINE:
                noted.append({"run": name, "file": file, "damage": damage, "outcome": outcome, "printed": printed})
            print(f"{name}: {file}, {damage}: {outcome}", file=sys.stderr, flush=True)
            if options.out:
                write_json(options.out, _report(outcomes, noted))
    print(json.dumps(_report(outcomes, noted), indent=2))
    counts = _counts(outcomes)
    sys.exit(1 if any(each.get(outcome) for each in counts.values() for outcome in BAD) else 0)


Outcomes = dict[str, dict[str, dict[str, str]]]


def _earlier(path: Path) -> tuple[Outcomes, list[dict[str, Any]]]:
    if not path.is_file():
        return {}, []
    outcomes: Outcomes = tiny_runs.read(path)["files"]
    kept = {
        name: {file: {damage: each for damage, each in found.items() if each in FINE} for file, found in files.items()}
        for name, files in outcomes.items()
    }
    return kept, []


def _of(outcomes: Outcomes, case: Case) -> str | None:
    name, file, damage = case.key
    return outcomes.get(name, {}).get(file, {}).get(damage)


def _report(outcomes: Outcomes, noted: list[dict[str, Any]]) -> dict[str, Any]:
    files = {name: dict(sorted(found.items())) for name, found in outcomes.items()}
    return {
        "command": shlex.join(["python", *sys.argv]),
        "environment": machine.environment(),
        "cases": _counts(outcomes),
        "noted": noted,
        "files": files,
    }


def _counts(outcomes: Outcomes) -> dict[str, dict[str, int]]:
    return {
        name: dict(collections.Counter(each for found in files.values() for each in found.values()))
        for name, files in outcomes.items()
    }


def _states(folder: Path) -> tuple[list[State], dict[str, str]]:
    """Makes the runs; returns them and the expected results."""
    home = folder / FINISHED
    tiny_runs.fill(home, RECIPE, MODELS, photos=24)
    homes = {name: folder / name for name in KILLED}
    for each in homes.values():
        shutil.copytree(home, each)
    _complete(home)
    for name, each in homes.items():
        _kill(each, KILLED[name])
    states = [State(name, each, _published(each), _continued(each)) for name, each in {FINISHED: home, **homes}.items()]
    return states, _results(home)


def _complete(home: Path) -> str:
    code, printed = tiny_runs.Call(home, COMMAND).end()
    if code != 0:
        raise SystemExit(f"The undamaged run ended with {code}: {printed}")
    return printed


def _kill(home: Path, seen: str) -> None:
    call = tiny_runs.Call(home, COMMAND)
    while not any(home.glob(seen)):
        if call.ends_within(0.005):
            raise SystemExit(f"The run ended before it was killed: {call.printed()}")
    call.kill()


def _continued(home: Path) -> frozenset[str]:
    """Returns the lines about its work that the undamaged run prints when it is continued, in a copy."""
    with tempfile.TemporaryDirectory(dir=home.parent) as temporary:
        return _notices(_complete(_copied(home, Path(temporary))))


def _notices(printed: str) -> frozenset[str]:
    lines = printed.splitlines()
    return frozenset(line for line in lines if re.search(r" …|again|recreated|publishing| epoch |warning", line))


def _copied(home: Path, folder: Path) -> Path:
    """Returns a copy with a path of the same length and files of the same age."""
    return Path(shutil.copytree(home, folder / "home", copy_function=shutil.copy2))


def _cases(states: list[State], damages: list[str], sample: int | None, seed: int) -> Iterator[Case]:
    random = np.random.default_rng(seed)
    for state in states:
        files = sorted(tiny_runs.tree(state.home))
        for file in files if sample is None else sorted(random.choice(files, min(sample, len(files)), replace=False)):
            for damage in damages:
                case = Case(state, str(file), damage, 0.0)
                place = np.random.default_rng([seed, zlib.crc32(repr(case.key).encode())]).random()
                yield Case(state, case.file, damage, place)


def _tried(cases: Iterable[Case], right: dict[str, str], workers: int) -> Iterator[tuple[Case, tuple[str, str]]]:
    """Yields each case with its outcome and its output, as they end."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = {pool.submit(_outcome, case, right): case for case in cases}
        for done in concurrent.futures.as_completed(waiting):
            yield waiting[done], done.result()


def _outcome(case: Case, right: dict[str, str]) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(dir=case.state.home.parent) as temporary:
        home = _copied(case.state.home, Path(temporary))
        _damage(home / case.file, case)
        refusals = []
        for _ in range(TRIES):
            code, printed = tiny_runs.Call(home, COMMAND).end()
            if code == 0 and "Traceback" not in printed:
                return _judged(case.state, home, right, printed, refusals)
            if not _is_refusal(code, printed):
                return "traceback", f"{code}: {printed[-2000:]}"
            refusals.append(printed[-1000:])
        return "refused three times", refusals[-1]


def _is_refusal(code: int, printed: str) -> bool:
    """Returns whether a command failed properly: with one line that states the reason, or failed gates."""
    errors = f"\n{printed}".count("\ntfkd: ")
    return "Traceback" not in printed and code in (1, 2, 4) and (errors == 1 or code == 1)


def _judged(state: State, home: Path, right: dict[str, str], printed: str, refusals: list[str]) -> tuple[str, str]:
    """Returns the outcome of a command that succeeded, and its output."""
    if _results(home) != right or not _is_verified(state, home):
        return "used silently", printed[-2000:]
    if refusals:
        return "refused", refusals[0]
    return ("without effect" if _notices(printed) == state.notices else "made again"), printed


def _is_verified(state: State, home: Path) -> bool:
    if _published(home) == state.published:
        return True
    code, _ = tiny_runs.Call(home, ("verify", BUNDLE)).end()
    return code == 0


def _damage(path: Path, case: Case) -> None:
    content = path.read_bytes()
    changed = DAMAGES[case.damage](content, int(case.place * len(content))) if content else None
    path.unlink()
    if changed is not None:
        path.write_bytes(changed)


def _published(home: Path) -> dict[str, str]:
    return tiny_runs.tree(home, lambda path: (home / BUNDLE) in path.parents)


def _results(home: Path) -> dict[str, str]:
    """Returns the hashes of a run's results."""

    def counts(path: Path) -> bool:
        inside = path.relative_to(home).as_posix()
        published = inside.startswith(f"{BUNDLE}/") and not inside.startswith(f"{BUNDLE}/measurements/")
        return path.name == "test_logits.npy" or (published and path.name not in tiny_runs.TIMED)

    return tiny_runs.tree(home, counts)


if __name__ == "__main__":
    main()
