"""Checks that `tfkd verify` refuses damaged bundles and does not crash on them.

    python -m tools.benchmarks.fuzz_bundles exported_models/quickstart --count 1000 --out fuzz.json

Each round changes a copy of a good bundle: bytes anywhere, missing and added files, labels, links, hostile paths and
archives. Half of the copies keep their checksums, which must reveal every change. The others get new checksums, and
half of these get new digests in the manifest too, so that the checks after them are reached: the manifest, the parsers
and the runtimes. An accepted copy is an error if it must be refused whatever its seals are. A changed byte that changes
no prediction, label or description may be accepted, if the seals are right.

Everything is drawn from the seed. Rounds of a small bundle are short. JSON goes to stdout; the exit code is 1 if
anything crashed or was wrongly accepted.
"""

import collections
import io
import json
import os
import shutil
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.bundle.layout import CHECKSUMS
from tfkd.bundle.seal import seal
from tfkd.bundle.verification import MANIFEST, verify
from tfkd.errors import TfkdError
from tfkd.files import content_digest, content_size
from tfkd.labels import LABELS
from tfkd.sandbox import ResourceLimits
from tfkd.verification.apart import Apart
from tools.benchmarks import fuzzing

SECONDS = 60.0  # limit per damaged file
GOLDEN = Path("golden", "golden.json")
PATHS = (
    "../outside.tflite",
    "/etc/passwd",
    "android/../../outside.tflite",
    "ios",
    "",
    ".",
    "a\0b.tflite",
    "C:\\x.tflite",
)
NAMES = ("../../outside.txt", "/tmp/outside.txt", "labels.txt/../../outside", "other.txt")
VALUES = (None, -1, 1e308, 2**80, "", "x" * 10_000, [], {}, [[[[]]]], True, "../../..", float("nan"))

Mutation = Callable[
    [Path, np.random.Generator], bool
]  # changes a bundle; True: it must be refused, whatever its seals are


def some_file(folder: Path, random: np.random.Generator) -> Path:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    return files[random.integers(len(files))]


def model_files(folder: Path) -> list[Path]:
    paths = [folder / artifact["path"] for artifact in read(folder / MANIFEST)["artifacts"]]
    return sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def tflite_file(folder: Path, random: np.random.Generator) -> Path:
    files = sorted(folder.rglob("*.tflite"))
    return files[random.integers(len(files))]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def put(path: Path, content: bytes) -> None:
    """Replaces a file; the copy's files are links to those of the good bundle, which must not change."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def put_json(path: Path, value: Any) -> None:
    put(path, json.dumps(value).encode())


def spoilt(path: Path, random: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    for place in random.integers(len(content), size=random.integers(1, 9)):
        content[place] ^= int(random.integers(1, 256))
    put(path, bytes(content))


def bytes_anywhere(folder: Path, random: np.random.Generator) -> bool:
    spoilt(some_file(folder, random), random)
    return False


def bytes_of_a_model(folder: Path, random: np.random.Generator) -> bool:
    files = model_files(folder)
    spoilt(files[random.integers(len(files))], random)
    return False


def first_bytes_of_a_model(folder: Path, random: np.random.Generator) -> bool:
    """Changes bytes of a model's tables and offsets."""
    files = model_files(folder)
    path = files[random.integers(len(files))]
    content = bytearray(path.read_bytes())
    for place in random.integers(min(4096, len(content)), size=3):
        content[place] ^= int(random.integers(1, 256))
    put(path, bytes(content))
    return False


def lost_file(folder: Path, random: np.random.Generator) -> bool:
    path = some_file(folder, random)
    path.unlink()
    name = path.relative_to(folder).as_posix()
    return name in (MANIFEST, LABELS) or name.startswith(("golden/", "android/", "ios/"))


def added_model(folder: Path, random: np.random.Generator) -> bool:
    shutil.copy(tflite_file(folder, random), folder / "android" / "stranger.tflite")
    return True


def cut_model(folder: Path, random: np.random.Generator) -> bool:
    path = tflite_file(folder, random)
    content = path.read_bytes()
    put(path, content[: int(random.random() * len(content))])
    return True


def odd_labels(folder: Path, random: np.random.Generator) -> bool:
    names = (folder / LABELS).read_text(encoding="utf-8").splitlines()
    odd: tuple[list[str], ...] = (
        names[:-1],
        [*names, "one more"],
        [*names[:-1], names[0]],
        [names[0] + ', "quoted"', *names[1:]],
        ["\N{DOG FACE}", *names[1:]],
        names[::-1],
        [],
    )
    put(folder / LABELS, "".join(f"{name}\n" for name in odd[random.integers(len(odd))]).encode())
    return True


def other_classes_throughout(folder: Path, random: np.random.Generator) -> bool:
    """Renames a class in all texts, but not in the models."""
    manifest, golden = read(folder / MANIFEST), read(folder / GOLDEN)
    number = int(random.integers(len(manifest["data"]["classes"])))
    old, new = manifest["data"]["classes"][number], 'a, "b" \N{DOG FACE}'
    manifest["data"]["classes"][number] = golden["classes"][number] = new
    for image in golden["images"]:
        image["label"] = new if image["label"] == old else image["label"]
    put_json(folder / MANIFEST, manifest)
    put_json(folder / GOLDEN, golden)
    put(folder / LABELS, "".join(f"{name}\n" for name in manifest["data"]["classes"]).encode())
    return True


def hostile_path(folder: Path, random: np.random.Generator) -> bool:
    manifest = read(folder / MANIFEST)
    artifacts = manifest["artifacts"]
    artifacts[random.integers(len(artifacts))]["path"] = PATHS[random.integers(len(PATHS))]
    put_json(folder / MANIFEST, manifest)
    return True


def link_out(folder: Path, random: np.random.Generator) -> bool:
    path = some_file(folder, random)
    outside = folder.parent / "outside"
    outside.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(outside)
    return True


def hostile_archive(folder: Path, random: np.random.Generator) -> bool:
    """Appends an archive that points outside itself, or unpacks to far more than labels."""
    path = tflite_file(folder, random)
    stream = io.BytesIO(path.read_bytes())
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAMES[random.integers(len(NAMES))], bytes(1 << 22))
    put(path, stream.getvalue())
    return True


def odd_value(folder: Path, random: np.random.Generator) -> bool:
    """Puts a strange value anywhere into the manifest."""
    manifest = read(folder / MANIFEST)
    place: Any = manifest
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[random.integers(len(keys))]
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or random.random() < 0.1:
            break
        place = inner
    place[key] = VALUES[random.integers(len(VALUES))]
    put_json(folder / MANIFEST, manifest)
    return False


def other_answers(folder: Path, random: np.random.Generator) -> bool:
    """Swaps the golden answer of a model's best class with that of its worst."""
    golden = read(folder / GOLDEN)
    answers = golden["images"][random.integers(len(golden["images"]))]["probabilities"]
    models = sorted(set(answers) - {"keras"})
    chosen = answers[models[random.integers(len(models))]]
    best, worst = int(np.argmax(chosen)), int(np.argmin(chosen))
    chosen[best], chosen[worst] = chosen[worst], chosen[best]
    put_json(folder / GOLDEN, golden)
    return abs(chosen[best] - chosen[worst]) > 0.05


MUTATIONS: tuple[Mutation, ...] = (
    bytes_anywhere,
    bytes_of_a_model,
    bytes_of_a_model,
    first_bytes_of_a_model,
    first_bytes_of_a_model,
    lost_file,
    added_model,
    cut_model,
    odd_labels,
    other_classes_throughout,
    hostile_path,
    link_out,
    hostile_archive,
    odd_value,
    other_answers,
)
SEALS = ("kept", "kept", "checksums", "checksums and manifest")


def reseal(folder: Path, seals: str) -> None:
    """Recomputes the seals, as far as possible."""
    if seals == "kept":
        return
    path = folder / MANIFEST
    if seals == "checksums and manifest" and path.is_file():
        try:
            manifest = read(path)
            for artifact in manifest["artifacts"]:
                file = folder / artifact["path"]
                artifact["bytes"], artifact["sha256"] = content_size(file), content_digest(file)
            put_json(path, manifest)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # the manifest itself is damaged
    (folder / CHECKSUMS).unlink(missing_ok=True)
    seal(folder)


def changed_models(good: Path, folder: Path) -> bool:
    try:
        return any(
            content_digest(good / artifact["path"]) != content_digest(folder / artifact["path"])
            for artifact in read(good / MANIFEST)["artifacts"]
        )
    except OSError:
        return True


def attempt(good: Path, folder: Path, random: np.random.Generator, apart: Apart) -> dict[str, Any]:
    """Changes a copy and verifies it; returns the change and the outcome."""
    shutil.copytree(good, folder, copy_function=os.link)
    mutate = MUTATIONS[random.integers(len(MUTATIONS))]
    seals = SEALS[random.integers(len(SEALS))]
    must = mutate(folder, random)
    reseal(folder, seals)
    must = must or seals == "kept" or (seals == "checksums" and changed_models(good, folder))
    done = {"mutation": mutate.__name__, "seals": seals, "must_be_refused": must}
    try:
        failed = [check for check in verify(folder, apart=apart) if not check.passed]
    except TfkdError as error:
        return {**done, "outcome": "refused", "by": "request", "said": str(error)}
    except Exception:
        return {**done, "outcome": "crashed", "by": "", "said": traceback.format_exc()}
    if not failed:
        return {**done, "outcome": "accepted", "by": "", "said": ""}
    return {**done, "outcome": "refused", "by": _kind(failed[0].name), "said": failed[0].found}


def _kind(check: str) -> str:
    return "a model" if "/" in check else check


def main(arguments: list[str] | None = None) -> None:
    parser = fuzzing.parser(__doc__, 1000, "copies")
    parser.add_argument("bundle", type=Path, help="a good bundle")
    options = parser.parse_args(arguments)
    session = fuzzing.Session("fuzz_bundles", options)
    found = []
    with Apart(ResourceLimits(SECONDS)) as apart, tempfile.TemporaryDirectory() as scratch:
        good = Path(scratch) / "good"
        shutil.copytree(options.bundle, good)
        wrong = [check.found for check in verify(good, apart=apart) if not check.passed]
        if wrong:
            parser.error(f"{options.bundle} is not good itself: {wrong[0]}")
        for number in range(options.count):
            folder = Path(scratch) / "round" / "bundle"
            found.append(
                attempt(good, folder, np.random.default_rng([options.seed, number]), apart) | {"number": number}
            )
            shutil.rmtree(folder.parent)
            session.done(number)
    crashes = [each for each in found if each["outcome"] == "crashed"]
    wrongly = [each for each in found if each["outcome"] == "accepted" and each["must_be_refused"]]
    accepted = [each for each in found if each["outcome"] == "accepted" and not each["must_be_refused"]]
    facts = {
        "crashes": crashes,
        "wrongly_accepted": wrongly,
        "refused": sum(each["outcome"] == "refused" for each in found),
        "refused_by": collections.Counter(each["by"] for each in found if each["by"]),
        "runtimes_that_crashed_apart": sum("crashes the runtime" in each["said"] for each in found),
        "ended_for_time_or_memory": sum("was ended" in each["said"] for each in found),
        "accepted_with_right_seals": collections.Counter(each["mutation"] for each in accepted),
        "rounds_of": {
            seals: collections.Counter(each["mutation"] for each in found if each["seals"] == seals)
            for seals in dict.fromkeys(SEALS)
        },
    }
    session.end(facts, bool(crashes or wrongly))


if __name__ == "__main__":
    main()
