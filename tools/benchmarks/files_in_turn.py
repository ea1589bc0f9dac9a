"""The command line of the benchmarks that write .tflite files and time them in turn."""

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.errors import TfkdError
from tfkd.files import write_json
from tfkd.recipe import Bench

Say = Callable[[str], None]


def main(
    benchmark: str,
    description: str,
    write_files: Callable[[Path, int], dict[str, Path]],
    result: Callable[[dict[str, Path], Bench, Say], dict[str, Any]],
    table: Callable[[dict[str, Any]], str],
    runs: int,
) -> None:
    """Parses the command line, measures, prints the table to stderr and JSON to stdout.

    Args:
        benchmark: its name.
        description: the help text.
        write_files: takes a folder and the side of the images, pixels; returns the contestants' files by name.
        result: times the files and returns the report.
        table: formats the report for the terminal.
        runs: default of the timed runs per file.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224, help="side of the images, pixels")
    parser.add_argument("--runs", type=int, default=runs, help="timed runs per file")
    parser.add_argument("--quick", action="store_true", help="64 px and 5 runs, as a check")
    parser.add_argument("--out", type=Path, help="file for a copy of the JSON")
    options = parser.parse_args()
    size, bench = (64, Bench(runs=5)) if options.quick else (options.size, Bench(runs=options.runs, warmup=20))
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = write_files(Path(folder), size)
            load = os.getloadavg()[0]
            measured = result(paths, bench, lambda line: print(line, file=sys.stderr, flush=True))
    except TfkdError as error:
        parser.error(str(error))
    report = {
        "benchmark": benchmark,
        "command": shlex.join(["python", *sys.argv]),
        "image_size": size,
        "machine": machine.environment(),
        "load_before": load,
        **measured,
    }
    print(table(measured), file=sys.stderr)
    print(json.dumps(report, indent=2))
    if options.out:
        write_json(options.out, report)
