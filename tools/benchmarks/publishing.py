"""Checks that readers see the old bundle or the new one, whole, while pairs of processes publish it.

    python tools/benchmarks/publishing.py exported_models/quickstart --pairs 30 --polls 20000 --out publishing.json

Each of the two processes of a pair publishes its own version of the bundle, both at the same time, to the same name.
Every file differs from version to version. Meanwhile other processes poll: each poll opens the name, hashes every file,
and compares all hashes with SHA256SUMS. Half of the polls read as tfkd's commands do (`publishing.opened`), the others
open the folder once and take no lock, as any other program may. A poll that finds no folder or misses a file is a gap;
one whose hashes differ is a mixture. JSON goes to stdout; the exit code is 1 if there was any.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from tfkd import files, machine
from tfkd.bundle.layout import CHECKSUMS
from tfkd.bundle.publishing import opened, publish
from tfkd.bundle.seal import seal


@dataclass
class Found:
    """Results of the polls: counts by kind of reader."""

    published: int = 0
    polls: int = 0
    versions: int = 0
    seconds: float = 0.0
    gaps: dict[str, int] = field(default_factory=dict)
    mixtures: dict[str, int] = field(default_factory=dict)


def main() -> None:
    """Publishes, polls, and prints the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="a published bundle; it is not changed")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--polls", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(
            Path(folder), options.pairs, options.polls, multiprocessing.get_context("spawn"), options.bundle
        )
    report = {"command": shlex.join(["python", *sys.argv]), "environment": machine.environment(), **asdict(found)}
    print(json.dumps(report, indent=2))
    if options.out:
        files.write_json(options.out, report)
    sys.exit(1 if sum(found.gaps.values()) + sum(found.mixtures.values()) else 0)


def measure(folder: Path, pairs: int, polls: int, context: BaseContext, template: Path | None = None) -> Found:
    """Publishes pair after pair, spread over the polls.

    Args:
        folder: an empty folder for the bundles.
        pairs: of processes that publish at the same time.
        polls: minimum number of polls.
        context: makes the processes.
        template: the bundle whose versions are published; default: a few small files.
    """
    destination, start = folder / "exported_models" / "polled", time.perf_counter()
    publish(_version(folder, "0", template), destination, _accept)
    stop: Any = context.Event()
    found = Found(gaps=dict.fromkeys(_READERS, 0), mixtures=dict.fromkeys(_READERS, 0))
    counters: Any = [context.Value("i", 0) for _ in _READERS]
    results: Any = context.SimpleQueue()
    pollers = [
        context.Process(target=_poll, args=(name, destination, counter, stop, results))  # type: ignore[attr-defined]
        for name, counter in zip(_READERS, counters, strict=True)
    ]
    for poller in pollers:
        poller.start()
    for pair in range(pairs):
        pair_of_versions = [_version(folder, f"{pair}-{half}", template) for half in range(2)]
        while sum(counter.value for counter in counters) < polls * pair // pairs:
            time.sleep(0.001)
        publishers = [
            context.Process(target=publish, args=(each, destination, _accept))  # type: ignore[attr-defined]
            for each in pair_of_versions
        ]
        for publisher in publishers:
            publisher.start()
        for publisher in publishers:
            publisher.join()
            found.published += publisher.exitcode == 0
        for each in pair_of_versions:
            shutil.rmtree(each)
    while sum(counter.value for counter in counters) < polls:
        time.sleep(0.001)
    stop.set()
    versions = set[str]()
    for _ in pollers:
        name, found.gaps[name], found.mixtures[name], seen = results.get()
        versions |= set(seen)
    for poller in pollers:
        poller.join()
    found.polls = sum(counter.value for counter in counters)
    found.versions, found.seconds = len(versions), time.perf_counter() - start
    return found


def _accept(folder: Path) -> None:
    """Checks nothing: only the exchange is measured."""


def _version(folder: Path, number: str, template: Path | None) -> Path:
    """Makes a sealed bundle in which every file is specific to this version."""
    version = folder / f"version-{number}"
    if template is not None:
        shutil.copytree(template, version)
    else:
        (version / "android").mkdir(parents=True)
        for name in ("labels.txt", "manifest.json", "android/a.tflite", "android/b.tflite"):
            (version / name).write_bytes(bytes(10_000))
    for path in version.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes() + number.encode())
    seal(version)
    return version


def _poll(name: str, destination: Path, counter: Any, stop: Any, results: Any) -> None:
    gaps = mixtures = 0
    seen = set[str]()
    while not stop.is_set():
        try:
            with _READERS[name](destination) as folder:
                right, sums = _is_whole(folder)
            mixtures += not right
            seen.add(sums)
        except OSError:
            gaps += 1
        counter.value += 1
    results.put((name, gaps, mixtures, sorted(seen)))


def _is_whole(folder: Path) -> tuple[bool, str]:
    """Hashes every file; returns whether the hashes are those of SHA256SUMS, and that file's own hash."""
    text = (folder / CHECKSUMS).read_text(encoding="utf-8")
    right = [files.sha256(folder / name) == digest for digest, name in map(_fields, text.splitlines())]
    return all(right), files.sha256(folder / CHECKSUMS)


def _fields(line: str) -> tuple[str, str]:
    digest, _, name = line.partition("  ")
    return digest, name


@contextlib.contextmanager
def _by_descriptor(folder: Path) -> Iterator[Path]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


_READERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Path]]] = {
    "opened": opened,
    "descriptor": _by_descriptor,
}


if __name__ == "__main__":
    main()
