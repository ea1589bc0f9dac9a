"""Fits a student to half of MobileNetV3-Small's latency on this machine, once unbroken and once killed twice.

    python tools/benchmarks/fit_budget.py --images folder:clothing160.zip --out docs/evidence/fit_clothing.json

All candidates are measured first; the limit is half of the latency of MobileNetV3-Small, width 1, at 96 px. Then the
teacher and its store are made, and two fits follow from copies of that folder: one unbroken, one killed with SIGKILL in
the first round and in a final training. The killed one has the measurements of the unbroken one, so that both choose
from the same figures. The script compares their rounds, predictions, files and recipes bit by bit. Every step is kept
in --work, and a second call repeats none. JSON goes to stdout; the exit code is 1 if the two fits differ.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.files import sha256, write_json

NAME = "fitted"
SIZE = 96
REFERENCE = f"mobilenet_v3_small ×1, {SIZE} px, relu6"
RECIPE = """
from tfkd.recipe import *

recipe = Recipe(
    name="{name}",
    data=Data(source="{images}", image_size={size}, fraction={fraction}, augment=Augment(min_area=0.3)),
    teachers=[
        Teacher(
            model="efficientnet_lite2", image_size={teacher_size},
            fine_tune=FineTune(epochs={teacher_epochs}, head_epochs=30, thaw=0.5, batch_size=32, learning_rate=3e-4),
        )
    ],
    student=Student(weights="auto"),
    distill=Distill(
        losses=[SoftTargets(temperature=2.0, weight=0.9)],
        label_weight=0.1,
        views={epochs},
        training=Training(epochs={epochs}, batch_size=64, learning_rate=4e-3),
    ),
    export=Export(tflite=["fp32", "int8"], coreml=[]),
    fit=Fit(families={families}, widths={widths}, sizes=[64, {size}], min_relative_accuracy={relative}),
)
"""
SETTINGS = {
    "fraction": 1.0,
    "teacher_size": 160,
    "teacher_epochs": 2,
    "epochs": 18,
    "families": ["mobilenet_v3_small", "mobilenet_v4_conv_small", "mobilenet_v2", "squeezenet_1_1"],
    "widths": [0.35, 0.5, 1.0],
}
QUICK = SETTINGS | {
    "fraction": 0.1,
    "teacher_size": 64,
    "teacher_epochs": 0,
    "epochs": 4,
    "families": ["mobilenet_v3_small"],
    "widths": [0.35, 0.5, 1.0],
}
TARGET = ("--target", "host")
JUDGED = (0, 1)  # exit codes of a fit that ended: whether something reaches the accuracy is a result
HASHED = (
    "runs/*/fit/round-*.json",
    "runs/*/fit/recipe.json",
    "runs/*/fit/**/*.npy",
    "runs/*/fit/**/*.tflite",
    "runs/*/student/**/*.npy",
    "runs/*/control/**/*.npy",
    "exported_models/*/android/*.tflite",
)


def main() -> None:
    """Runs or continues all steps, and prints the results."""
    options = _options()
    work: Path = options.work
    measured, unbroken, killed = (work / name for name in ("measured", "unbroken", "killed"))
    limit = _measured(measured, options)
    copy = (f"--max-ms={limit}", *TARGET)
    if not (unbroken / "seconds.json").is_file():
        _copied(measured, unbroken)
        seconds = _timed(unbroken, ("fit", "recipe.py", *copy), JUDGED)
        write_json(unbroken / "seconds.json", seconds)
    kills = _killed(measured, unbroken, killed, ("fit", "recipe.py", *copy))
    report = _report(options, limit, measured, unbroken, killed, kills)
    if options.out:
        write_json(options.out, report)
    print(json.dumps(report, indent=2))
    sys.exit(0 if not report["different"] else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", default="folder:clothing160.zip", help="data.source; folders as absolute paths")
    parser.add_argument("--work", type=Path, default=Path("fit_budget"), help="folder of all steps")
    parser.add_argument("--relative", type=float, default=0.6, help="fit.min_relative_accuracy")
    parser.add_argument("--epochs", type=int, help="epochs of the final trainings, and views of the store")
    parser.add_argument("--quick", action="store_true", help="few images and candidates, as a check of the script")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    return parser.parse_args()


def _measured(home: Path, options: argparse.Namespace) -> float:
    """Measures every candidate, makes teacher and store, and returns the limit, ms."""
    kind, _, path = options.images.partition(":")
    images = f"{kind}:{Path(path).resolve()}" if kind == "folder" else options.images
    settings = QUICK if options.quick else SETTINGS
    settings |= {"epochs": options.epochs} if options.epochs else {}
    home.mkdir(parents=True, exist_ok=True)
    text = RECIPE.format(name=NAME, images=images, size=SIZE, relative=options.relative, **settings)
    (home / "recipe.py").write_text(text, encoding="utf-8")
    result = home / f"runs/{NAME}/fit/result.json"
    if not (home / "seconds.json").is_file():
        times = {"measuring": _timed(home, ("fit", "recipe.py", "--max-ms=1e-6", *TARGET), (1,))}
        times["teacher and store"] = _timed(home, ("run", "recipe.py", "--until", "soft_labels"))
        write_json(home / "seconds.json", times)
    rows = {row["name"]: row for row in json.loads(result.read_text(encoding="utf-8"))["rows"]}
    return float(rows[REFERENCE]["measured"]["ms"]) / 2


def _killed(measured: Path, unbroken: Path, home: Path, command: tuple[str, ...]) -> list[str]:
    """Kills a fit in the first round and in a final training, and lets it end; returns where it was killed."""
    record = home / "kills.json"
    if not record.is_file():
        shutil.rmtree(home, ignore_errors=True)
        _copied(measured, home)
        source = unbroken / f"runs/{NAME}/fit/measurements"
        shutil.copytree(source, home / f"runs/{NAME}/fit/measurements", dirs_exist_ok=True)
        run = home / f"runs/{NAME}"
        moments: dict[str, Callable[[], bool]] = {
            "round 1": lambda: any(run.glob("fit/*/stage.json")),
            "final training": lambda: any(run.glob("student/*/seed-*/checkpoint.npz")),
        }
        for condition in moments.values():
            _kill_when(home, command, condition)
        _timed(home, command, JUDGED)
        write_json(record, list(moments))
    found: list[str] = json.loads(record.read_text(encoding="utf-8"))
    return found


def _kill_when(home: Path, command: tuple[str, ...], condition: Callable[[], bool]) -> None:
    process = _started(home, command)
    while not condition():
        if process.poll() is not None:
            raise SystemExit(f"tfkd {shlex.join(command)} ended with {process.returncode} before it could be killed.")
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _timed(home: Path, command: tuple[str, ...], codes: tuple[int, ...] = (0,)) -> float:
    start = time.perf_counter()
    code = _started(home, command).wait()
    if code not in codes:
        raise SystemExit(f"tfkd {shlex.join(command)} ended with {code}; see {home}/log.txt.")
    return round(time.perf_counter() - start, 1)


def _started(home: Path, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Starts a command in a process group of its own; its output is appended to log.txt."""
    with (home / "log.txt").open("ab") as log:
        words = [sys.executable, "-m", "tfkd", *command]
        return subprocess.Popen(words, cwd=home, stdout=log, stderr=log, start_new_session=True)


def _copied(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("seconds.json", "log.txt"))


def _hashes(home: Path) -> dict[str, str]:
    return {
        path.relative_to(home).as_posix(): sha256(path) for pattern in HASHED for path in sorted(home.glob(pattern))
    }


def _report(
    options: argparse.Namespace, limit: float, measured: Path, unbroken: Path, killed: Path, kills: list[str]
) -> dict[str, Any]:
    first, second = _hashes(unbroken), _hashes(killed)
    results = [
        json.loads((home / f"runs/{NAME}/fit/result.json").read_text(encoding="utf-8")) for home in (unbroken, killed)
    ]
    chosen = [result["chosen"] for result in results]
    different = sorted(name for name in {**first, **second} if first.get(name) != second.get(name))
    return {
        "command": shlex.join(["python", *sys.argv]),
        "environment": machine.environment(),
        "quick": options.quick,
        "limit_ms": limit,
        "reference": REFERENCE,
        "min_relative_accuracy": options.relative,
        "chosen": chosen[0],
        "verdict": results[0]["verdict"],
        "teacher_accuracy": results[0]["teacher_accuracy"],
        "rows": results[0]["rows"],
        "seconds": {
            **json.loads((measured / "seconds.json").read_text(encoding="utf-8")),
            "fit": json.loads((unbroken / "seconds.json").read_text(encoding="utf-8")),
        },
        "killed_at": kills,
        "compared_files": len(first),
        "different": different + ([] if chosen[0] == chosen[1] else ["chosen"]),
    }


if __name__ == "__main__":
    main()
