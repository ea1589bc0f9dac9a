"""Runs the quickstart and a sweep of six on a Ray cluster whose workers and head are killed, and on this machine.

    python tools/benchmarks/cluster.py --out docs/evidence/cluster.json

The cluster is real Ray processes on this machine. Three things are measured:

    kills       on three nodes: one worker is killed while it fills the store, one while it trains, and during the sweep
                the head with its node; the same command continues on a new cluster. Stores, predictions, weights and
                exported files are compared with those of this machine byte by byte.
    overhead    seconds of the quickstart on one node, against those on this machine, in turns.
    store       predictions per second of `tfkd store` by one process with one core, and by two with one core each.

`--only overhead store` measures these alone, and keeps the others of an earlier call. Writes JSON to --out and stdout;
the exit code is 1 if a file differs.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import machine
from tfkd.files import write_json

PIPELINE = Path(__file__).parents[2] / "pipelines" / "quickstart.py"
AXES = ("distill.views=4,8", "distill.label_weight=0,0.2,0.4")
CORES = 2  # of each node
LIMIT = 3600.0  # seconds of a command
TFKD = (sys.executable, "-m", "tfkd.cli")


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """Starts a cluster for the duration of a with-block."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    store = 100_000_000
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (as without a cluster; the default 15 yields to all else here)
    head = {"num_cpus": CORES, "include_dashboard": False, "object_store_memory": store}
    started = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes - 1):
            started.add_node(num_cpus=CORES, object_store_memory=store)
        yield started
    finally:
        started.shutdown()


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a command of tfkd in a folder; its output goes to `log`."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([*TFKD, *arguments], cwd=folder, stdout=log, stderr=log)


def finished(folder: Path, *arguments: str) -> float:
    """Runs a command and returns its seconds."""
    begin = time.perf_counter()
    if start(folder, *arguments).wait(LIMIT):
        raise SystemExit(f"{shlex.join(arguments)}: {(folder / 'log').read_text(errors='replace')[-2000:]}")
    return time.perf_counter() - begin


def run(*more: str) -> tuple[str, ...]:
    """Returns the arguments of the run."""
    return ("run", str(PIPELINE), *more)


def sweep(*more: str) -> tuple[str, ...]:
    """Returns the arguments of the sweep."""
    return ("sweep", str(PIPELINE), *AXES, *more)


def killed_worker(folder: Path, process: subprocess.Popen[bytes], lock: str) -> str:
    """Kills the process that holds a lock file, once it is there, and returns what it worked on."""
    while process.poll() is None:
        for path in folder.glob(lock):
            for holder in _holders(path):
                time.sleep(3.0)  # in the middle of the work
                with contextlib.suppress(ProcessLookupError):
                    os.kill(holder, signal.SIGKILL)
                    return path.parent.relative_to(folder).as_posix()
        time.sleep(0.05)
    raise SystemExit(f"Nothing holds {lock}: {(folder / 'log').read_text(errors='replace')[-2000:]}")


def _holders(file: Path) -> list[int]:
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if descriptor.readlink() == file:
                found.append(int(descriptor.parts[2]))
    return found


def kills(folder: Path) -> list[str]:
    """Runs the quickstart and the sweep on three nodes, kills two workers and the head, and returns what was hit."""
    with cluster(3) as three:
        process = start(folder, *run("--cluster", three.address))
        hit = [killed_worker(folder, process, "runs/quickstart/soft_labels/*/.parts/*/.working")]
        hit.append(killed_worker(folder, process, "runs/quickstart/student/*/seed-*/.working"))
        if process.wait(LIMIT):
            raise SystemExit((folder / "log").read_text(errors="replace")[-2000:])
        process = start(folder, *sweep("--cluster", three.address))
        while len(list(folder.glob("runs/quickstart/sweep/*/checkpoint.npz"))) < 3 and process.poll() is None:
            time.sleep(0.05)
        three.head_node.kill_gcs_server()
        three.head_node.kill_raylet()
        hit.append(f"the head, exit code {process.wait(LIMIT)}")
    with cluster(3) as three:
        finished(folder, *sweep("--cluster", three.address))
    return hit


def contents(folder: Path) -> dict[str, str]:
    """Returns the hashes of stores, predictions, weights and exported files by path."""
    runs, bundle = folder / "runs/quickstart", folder / "exported_models/quickstart"
    files = [
        path for name in ("view-*.npy", "shards.json", "header.json", "test_logits.npy") for path in runs.rglob(name)
    ]
    files += [path for kind in ("android", "ios") for path in (bundle / kind).rglob("*") if path.is_file()]
    found = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    found |= {path.relative_to(folder).as_posix(): _weights(path) for path in runs.rglob("student.keras")}
    return found


def _weights(path: Path) -> str:
    """Returns a hash of the weights in a .keras file, whose archive holds times."""
    import keras

    model = keras.saving.load_model(path, compile=False)
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in model.get_weights())).hexdigest()


def in_turns(rounds: int, contestants: dict[str, Callable[[Path], float]], folder: Path) -> dict[str, list[float]]:
    """Returns the seconds of each contestant, measured in turns in new folders."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, measured in contestants.items():
            place = folder / f"{name}-{number}"
            place.mkdir()
            found[name].append(measured(place))
    return found


def on_one_node(folder: Path) -> float:
    """Returns the seconds of the quickstart on a cluster of one node, which is there already."""
    with cluster(1) as one:
        return finished(folder, *run("--cluster", one.address))


def stores(folder: Path) -> dict[str, Any]:
    """Returns the predictions per second of one process with one core, and of two."""
    rates = {}
    for workers in (1, 2):
        place = folder / f"store-{workers}"
        place.mkdir()
        finished(place, *run("--until", "teacher"))
        begin = time.perf_counter()
        processes = [
            subprocess.Popen(
                ["taskset", "-c", str(number), *TFKD, "store", str(PIPELINE), "--part", f"{number + 1}/{workers}"],
                cwd=place,
                stdout=subprocess.DEVNULL,
            )
            for number in range(workers)
        ]
        if any(process.wait(LIMIT) for process in processes):
            raise SystemExit(f"tfkd store failed in {place}")
        seconds = time.perf_counter() - begin
        files = list(place.glob("runs/quickstart/soft_labels/*/view-*.npy"))
        views = sum(len(np.load(path, mmap_mode="r", allow_pickle=False)) for path in files)
        rates[str(workers)] = {"views": views, "seconds": seconds, "views_per_second": views / seconds}
    return rates


def killed(folder: Path) -> dict[str, Any]:
    """Returns what was killed, and which files differ from those of this machine."""
    here, there = folder / "here", folder / "there"
    here.mkdir()
    there.mkdir()
    finished(here, *run())
    finished(here, *sweep())
    hit = kills(there)
    expected, found = contents(here), contents(there)
    differing = sorted(name for name in {**expected, **found} if expected.get(name) != found.get(name))
    return {"nodes": 3, "hit": hit, "files": len(expected), "differing": differing}


def overhead(folder: Path, rounds: int) -> dict[str, Any]:
    """Returns the seconds of the quickstart here and on one node."""
    seconds = in_turns(rounds, {"this machine": lambda place: finished(place, *run()), "one node": on_one_node}, folder)
    ratios = [node / alone for node, alone in zip(seconds["one node"], seconds["this machine"], strict=True)]
    return {"seconds": seconds, "ratio": statistics.median(ratios), "ratios": ratios}


def main() -> None:
    """Measures, and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=("kills", "overhead", "store"))
    arguments = parser.parse_args()
    result: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.only else {}
    result |= {"command": shlex.join(["python", *sys.argv]), "environment": machine.environment()}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "kills": lambda: killed(folder),
            "overhead": lambda: overhead(folder, arguments.rounds),
            "store": lambda: stores(folder),
        }
        for name in arguments.only or parts:
            result[name] = parts[name]()
            write_json(arguments.out, result)
    print(arguments.out.read_text())
    sys.exit(bool(result["kills"]["differing"]))


if __name__ == "__main__":
    main()
