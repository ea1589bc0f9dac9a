"""Checks that `tfkd verify` refuses bundles with impossible numbers and valid seals.

    python -m tools.benchmarks.fuzz_verdicts exported_models/quickstart --count 1000 --out fuzz_verdicts.json

Each round changes a copy of a good bundle in one place, as somebody might to make it look better: a number out of its
range, an accuracy, a latency, a size, a verdict, a limit, a name, a precision, a golden label. Then all checksums
are recomputed, and `tfkd verify` is called as the command line calls it, in one process, with one child for all files,
which runs each of them once. Every round must end with exit code 1. Everything is drawn from the seed. JSON goes
to stdout; the exit code is 1 if a bundle was accepted, anything crashed, or the command had another exit code.
"""

import collections
import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from tfkd.bundle.layout import CHECKSUMS
from tfkd.bundle.seal import seal
from tfkd.cli import execute
from tfkd.files import content_digest
from tfkd.signature import Signature
from tfkd.verification.apart import Answered, Apart
from tfkd.writers import Card
from tools.benchmarks import fuzzing
from tools.benchmarks.fuzz_bundles import GOLDEN, MANIFEST, put, put_json, read

REFUSED = 1

Change = Callable[[dict[str, Any], np.random.Generator], Any]  # changes a manifest

SHARES = ("accuracy", "agreement", "top1_vs_keras", "balanced_accuracy", "control_accuracy", "agreement_with_teacher")
OUT_OF_RANGE: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys((*SHARES, "calibration_error", "perfect_p_value"), (-0.01, 1.01, float("nan"), "0.9", 2)),
    **dict.fromkeys(("max_abs_error", "mean_total_variation"), (-1e-9, 1.5, float("inf"))),
    **dict.fromkeys(("latency_ms", "latency_all_ms", "median", "p90"), (0, -1.0, float("nan"), float("-inf"), "fast")),
    **dict.fromkeys(("bytes", "compressed_bytes", "parameters", "image_size", "runs"), (0, -1, 1.5, 2**70 * -1)),
    **dict.fromkeys(("seconds", "seconds_training", "teacher_seconds", "init_ms"), (-1.0, float("nan"), float("inf"))),
    "p_value": (0, -0.1, 1.1),
    "chance_level": (0, -1, 1.1),
    "sha256": ("0" * 63, "Z" * 64, "", 7),
    "fingerprint": ("", "not hex", "A" * 16),
    "created": ("2999-01-01T00:00:00Z", "yesterday", "", "2026-05-04T12:30:00", "2026-05-04T12:30:00+02:00"),
    "tfkd_version": ("", "new", "-1"),
    "seed": (-1, 2**31, 1.5, "1"),
    "partitions": (-1, 0.5),
    "operators": (-1, 0),
    "scale": (0, -1.0),
    "zero_point": (2**15, -(2**15) - 1),
    "test": (0, -1, 3),
    "verdict": ("excellent", "", None),
    "passed": ("yes", 2, None),
    "format": ("exe", "", "onnx"),
    "golden_tolerances": ({"xnnpack": -1}, {"xnnpack": float("nan")}),
}
PIECES = (
    {"partitions": 3, "operators": 9, "outside": ["MEAN"]},
    {"partitions": 1, "operators": 1, "outside": []},
)


def places(value: Any, names: tuple[str, ...] | dict[str, Any]) -> list[tuple[Any, Any]]:
    """Returns the objects that hold a field of one of these names, outside of the recipe, and the name."""
    found = []
    if isinstance(value, dict):
        found += [(value, name) for name in names if value.get(name) is not None]
    parts = [part for name, part in value.items() if name != "recipe"] if isinstance(value, dict) else value
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict | list):
            found += places(part, names)
    return found


def drawn(random: np.random.Generator, values: Any) -> Any:
    return values[random.integers(len(values))]


def out_of_range(manifest: dict[str, Any], random: np.random.Generator) -> str:
    holder, name = drawn(random, places(manifest, OUT_OF_RANGE))
    holder[name] = drawn(random, OUT_OF_RANGE[name])
    return str(name)


def linked(manifest: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Returns the fractions that other numbers depend on; none depend on those of one teacher of several."""
    alone = [id(each) for each in manifest["teachers"][1:]]
    return [(each, name) for each, name in places(manifest, SHARES) if "p_value" not in each and id(each) not in alone]


def other_share(manifest: dict[str, Any], random: np.random.Generator) -> str:
    """Changes a fraction by a whole number of images, or by a part of one."""
    holder, name = drawn(random, linked(manifest))
    images = manifest["data"]["splits"]["test"]
    right = round(holder[name] * images)
    other = drawn(random, [number for number in range(images + 1) if number != right])
    holder[name] = drawn(random, [other, right + 0.3 if right < images else right - 0.3]) / images
    return str(name)


def other_size_or_latency(manifest: dict[str, Any], random: np.random.Generator) -> str:
    names = ("bytes", "compressed_bytes", "latency_ms", "latency_all_ms")
    row = drawn(random, [row for row in manifest["comparison"] if row["variant"] != "teacher fp32"])
    name = drawn(random, [name for name in names if row.get(name)])
    row[name] = type(row[name])(row[name] * drawn(random, [0.5, 0.8, 1.2, 3]))
    return str(name)


def other_median(manifest: dict[str, Any], random: np.random.Generator) -> None:
    latency = drawn(random, manifest["bench"])["latency_ms"]
    for name in ("min", "median", "p90", "p95", "p99"):
        latency[name] = latency[name] * 0.5 if latency.get(name) else None


def other_drop(manifest: dict[str, Any], random: np.random.Generator) -> None:
    drawn(random, manifest["comparison"])["drop"] += drawn(random, [-0.05, 0.01, 0.2])


def other_verdict(manifest: dict[str, Any], random: np.random.Generator) -> str:
    gate = drawn(random, manifest["gates"])
    verdict = drawn(random, [each for each in ("passed", "failed", "not judged") if each != gate["verdict"]])
    gate |= {"verdict": verdict, "passed": verdict == "passed"}
    return f"{gate['name']}: {verdict}"


def other_value_or_limit(manifest: dict[str, Any], random: np.random.Generator) -> str:
    gate = drawn(random, [gate for gate in manifest["gates"] if gate["limit"] is not None])
    name = drawn(random, ["value", "limit"])
    gate[name] = drawn(random, [0.123, 7.0, -1.0, None])
    return f"{gate['name']}: {name}"


def lost_gates(manifest: dict[str, Any], random: np.random.Generator) -> None:
    gates = manifest["gates"]
    kept = random.random(len(gates)) < drawn(random, [0, 0.5, 0.9])
    kept[random.integers(len(gates))] = False
    manifest["gates"] = [gate for gate, keep in zip(gates, kept, strict=True) if keep]


def renamed_or_added_gate(manifest: dict[str, Any], random: np.random.Generator) -> None:
    gate = drawn(random, manifest["gates"])
    if random.random() < 0.5:
        gate["name"] = drawn(random, ["excellent", gate["name"] + "x", "min_accuracy"])
    else:
        manifest["gates"].append({**gate, "name": drawn(random, ["excellent", gate["name"]])})


def other_limits(manifest: dict[str, Any], random: np.random.Generator) -> str:
    """Changes the limits of the recipe to others than those that the gates list."""
    limits = manifest["recipe"]["gates"]
    names = [name for name, limit in limits.items() if isinstance(limit, float) and not isinstance(limit, bool)]
    name = drawn(random, names)
    limits[name] = drawn(random, [-0.5, float("nan"), 0.5, "none"])
    return str(name)


def forgotten_limit(manifest: dict[str, Any], random: np.random.Generator) -> str:
    name = drawn(random, [name for name in manifest["recipe"]["gates"] if name != "switched_off_by"])
    del manifest["recipe"]["gates"][name]
    return str(name)


def other_name(manifest: dict[str, Any], random: np.random.Generator) -> str:
    name = drawn(random, ["name", "seed", "recipe name", "student", "classes", "source"])
    if name == "recipe name":
        manifest["recipe"]["name"] = "better"
    elif name == "student":
        manifest["student"]["model"] = "better"
    elif name == "classes":
        manifest["data"]["classes"] = manifest["data"]["classes"][::-1]
    elif name == "source":
        manifest["data"]["source"] = "embedded:better"
    else:
        manifest[name] = "better" if name == "name" else manifest["seed"] + 1
    return str(name)


def swapped_files(manifest: dict[str, Any], random: np.random.Generator) -> str:
    """Swaps the names of two files."""
    one, other = random.choice(len(manifest["artifacts"]), 2, replace=False)
    first, second = manifest["artifacts"][one], manifest["artifacts"][other]
    name = drawn(random, ["path", "precision", "io", "operator_versions", "min_runtime", "delegation"])
    if first[name] == second[name]:
        name = "path"
    first[name], second[name] = second[name], first[name]
    return str(name)


def lost_file(manifest: dict[str, Any], random: np.random.Generator) -> None:
    del manifest["artifacts"][random.integers(len(manifest["artifacts"]))]


def other_pieces(manifest: dict[str, Any], random: np.random.Generator) -> None:
    files = [each for each in manifest["artifacts"] if each["format"] == "tflite"]
    drawn(random, files)["delegation"] = drawn(random, PIECES)


def other_test(manifest: dict[str, Any], random: np.random.Generator) -> str:
    """Changes the result of a test against chance, or against the control."""
    tests = [each["chance"] for each in manifest["artifacts"]] + [manifest["student"]["against_control"]]
    test = drawn(random, tests)
    if "gained" not in test:
        test |= {"perfect_p_value": 0.003, "chance_level": 0.5}
        return "chance"
    name = drawn(random, ["gained", "lost"])
    test[name] += 1
    return str(name)


def other_seeds(manifest: dict[str, Any], random: np.random.Generator) -> str:
    name = drawn(random, ["seeds", "accuracies", "control_accuracies"])
    manifest["student"][name] = drawn(random, [[], [5, 6] if name == "seeds" else [1.0, 1.0]])
    return str(name)


CHANGES: tuple[Change, ...] = (
    out_of_range,
    out_of_range,
    out_of_range,
    out_of_range,
    other_share,
    other_share,
    other_share,
    other_size_or_latency,
    other_median,
    other_drop,
    other_verdict,
    other_verdict,
    other_value_or_limit,
    other_value_or_limit,
    lost_gates,
    renamed_or_added_gate,
    other_limits,
    forgotten_limit,
    other_name,
    swapped_files,
    lost_file,
    other_pieces,
    other_test,
    other_seeds,
)


def other_golden_labels(folder: Path, random: np.random.Generator) -> str:
    """Changes the classes of golden images, so that other predictions would be right."""
    golden = read(folder / GOLDEN)
    shift = int(random.integers(1, len(golden["classes"])))
    for image in golden["images"]:
        number = golden["classes"].index(image["label"])
        image["label"] = golden["classes"][(number + shift) % len(golden["classes"])]
    put_json(folder / GOLDEN, golden)
    return str(shift)


def attempt(good: Path, folder: Path, random: np.random.Generator) -> dict[str, Any]:
    """Changes a copy and verifies it; returns the change and the outcome."""
    shutil.copytree(good, folder, copy_function=os.link)
    change = drawn(random, (*CHANGES, None))
    if change is None:
        done = {"change": other_golden_labels.__name__, "of": other_golden_labels(folder, random)}
    else:
        manifest = read(folder / MANIFEST)
        done = {"change": change.__name__, "of": str(change(manifest, random))}
        put(folder / MANIFEST, json.dumps(manifest).encode())
        put(folder / "recipe.json", json.dumps(manifest["recipe"]).encode())
    (folder / CHECKSUMS).unlink()
    seal(folder)
    code, printed = called(["verify", str(folder)])
    return {**done, "exit_code": code, "crashed": "Traceback" in printed, "said": printed if code != REFUSED else ""}


def called(arguments: list[str]) -> tuple[int, str]:
    """Returns the exit code and the output of a command line."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = execute(arguments)
    return code, printed.getvalue()


class Remembering(Apart):
    """Runs a file once for the same images, card and family: no round changes a file itself."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Any, Answered] = {}

    def run(
        self,
        path: Path,
        format: str,
        card: Card,
        signature: Signature,
        batches: Iterable[Any],
        family: str | None = None,
    ) -> Answered:
        images = [np.asarray(batch) for batch in batches]
        digest = hashlib.sha256(b"".join(each.tobytes() for each in images)).hexdigest()
        key = (content_digest(path), format, repr(card), signature, digest, family)
        if key not in self._known:
            self._known[key] = super().run(path, format, card, signature, images, family)
        return self._known[key]


@contextlib.contextmanager
def one_child(module: str, kind: Callable[[], Apart] = Apart) -> Any:
    """Makes all calls in the block use one child process."""
    with kind() as apart, mock.patch(f"{module}.Apart", lambda: contextlib.nullcontext(apart)):
        yield


def main(arguments: list[str] | None = None) -> None:
    parser = fuzzing.parser(__doc__, 1000, "copies")
    parser.add_argument("bundle", type=Path, help="a good bundle")
    options = parser.parse_args(arguments)
    session = fuzzing.Session("fuzz_verdicts", options)
    with one_child("tfkd.bundle.verification", Remembering), tempfile.TemporaryDirectory() as scratch:
        good = Path(scratch) / "good"
        shutil.copytree(options.bundle, good)
        code, printed = called(["verify", str(good)])
        if code:
            parser.error(f"{options.bundle} is not good itself: {printed}")
        found = []
        for number in range(options.count):
            folder = Path(scratch) / "round" / "bundle"
            found.append(attempt(good, folder, np.random.default_rng([options.seed, number])) | {"number": number})
            shutil.rmtree(folder.parent)
            session.done(number)
    wrong = [each for each in found if each["exit_code"] != REFUSED or each["crashed"]]
    facts = {
        "exit_codes": collections.Counter(str(each["exit_code"]) for each in found),
        "accepted": [each for each in wrong if each["exit_code"] == 0],
        "other_exit_codes": [each for each in wrong if each["exit_code"] not in (0, REFUSED)],
        "crashes": [each for each in wrong if each["crashed"]],
        "changes": collections.Counter(each["change"] for each in found),
    }
    session.end(facts, bool(wrong))


if __name__ == "__main__":
    main()
