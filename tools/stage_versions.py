"""Compares the code behind each stage with what was recorded for the stage's version, and records it.

    python -m tools.stage_versions                     prints what changed; exit code 1 if anything did
    python -m tools.stage_versions --record            records the code of new versions (in tfkd/pipeline/stages)
    python -m tools.stage_versions --record --same-results WHY
                                                       and changed code of old versions, whose results are the same

The code of a stage is its file in tfkd/pipeline/stages and every module of tfkd that can be reached from there, as
syntax trees: without comments, docstrings and layout. The files of other stages are left out, as their versions count
in the fingerprints of the stages after them, and so are modules that show, check or name things without changing a
result (`BESIDE`, `BESIDE_PACKAGES`). tests/stage_versions.json records each stage's version, its digests with the
reason of each but the first, and the digests of all modules, so that a change can be named.
"""

import argparse
import ast
import functools
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.files import write_json
from tfkd.pipeline.stage import some
from tfkd.pipeline.stages import STAGES, data, plausible
from tfkd.pipeline.stages.data import DATA

PROJECT = Path(__file__).parents[1]
RECORD = PROJECT / "tests" / "stage_versions.json"

_STAGES = "tfkd.pipeline.stages"
# The module of each stage and its version. Every call opens the images, and a diagnosis is stored with a teacher, so
# neither has a record in STAGES.
MODULES = {DATA: f"{_STAGES}.{DATA}", **{name: f"{_STAGES}.{name}" for name in STAGES}}
MODULES["diagnosis"] = f"{_STAGES}.plausible"
VERSIONS = {DATA: data.VERSION, **{name: kind.version for name, kind in STAGES.items()}, "diagnosis": plausible.VERSION}
# Modules that are reached by other means than an import, such as a process that is started.
REACHED = {
    "data": ("tfkd.data",),
    "teacher": ("tfkd.training.teacher",),
    "assistant": ("tfkd.training.preloaded",),
    "control": ("tfkd.training.preloaded",),
    "student": ("tfkd.training.preloaded",),
    "compress": ("tfkd.compress.student",),
    "bench": ("tfkd.benchmark.runner",),
}
BESIDE = (
    "tfkd",
    "tfkd.benchmark",
    "tfkd.cli",
    "tfkd.commands",
    "tfkd.pipeline",
    "tfkd.pipeline.contents",
    "tfkd.pipeline.context",
    "tfkd.pipeline.executor",
    "tfkd.pipeline.folders",
    "tfkd.training.children",
    "tfkd.training.workers",
    "tfkd.arguments",
    "tfkd.errors",
    "tfkd.exit_codes",
    "tfkd.files",
    "tfkd.import_path",
    "tfkd.machine",
    "tfkd.pipeline.kind",
    "tfkd.pipeline.sources",
    "tfkd.pipeline.stages",
    "tfkd.pipeline.stages.checks",
    "tfkd.progress",
    "tfkd.quiet",
    "tfkd.pipeline.stage",
    "tfkd.pipeline.stage_files",
    "tfkd.terminal",
    "tfkd.version",
)
BESIDE_PACKAGES = ("tfkd.recipe",)  # complete: the fields of a recipe that a stage reads are in its fingerprint
_MODULE = re.compile(r"tfkd(\.\w+)+")


@dataclass(frozen=True)
class Change:
    """A stage whose code differs from the record for its version.

    Attributes:
        stage: its name.
        version: version of its code, as stated in its file.
        new: whether nothing was recorded for that version.
        modules: those that differ from the latest record.
    """

    stage: str
    version: int
    new: bool
    modules: tuple[str, ...]

    def __str__(self) -> str:
        if self.new:
            return f"{self.stage}: version {self.version} is not recorded. Run python -m tools.stage_versions --record."
        where = some(self.modules) or "what it imports"
        return (
            f"{self.stage}: the code of version {self.version} changed in {where}. If its results change, raise "
            f"the version in {MODULES[self.stage]}; where they stay the same, run "
            "python -m tools.stage_versions --record --same-results WHY."
        )


def main() -> None:
    """Prints or records the changes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="record new versions")
    parser.add_argument("--same-results", metavar="WHY", help="record changed code of old versions, for this reason")
    options = parser.parse_args()
    recorded = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    found = changes(recorded)
    if options.record:
        for change in [change for change in found if change.new or options.same_results]:
            _record(recorded, change, options.same_results)
        modules = {name: digest for stage in MODULES for name, digest in code_of(stage).items()}
        stages = {stage: recorded[stage] for stage in MODULES if stage in recorded}
        recorded = {**stages, "modules": dict(sorted(modules.items()))}
        write_json(RECORD, recorded)
        found = changes(recorded)
    for change in found:
        print(change)
    sys.exit(1 if found else 0)


def changes(recorded: dict[str, Any]) -> list[Change]:
    """Returns the stages whose code differs from the record for their version."""
    found = []
    for stage in MODULES:
        modules, version = code_of(stage), VERSIONS[stage]
        known, before = recorded.get(stage, {"version": None, "digests": {}}), recorded.get("modules", {})
        if known["version"] != version or _digest(modules) not in known["digests"]:
            differing = [name for name, digest in modules.items() if before.get(name) != digest]
            found.append(Change(stage, version, known["version"] != version, tuple(sorted(differing))))
    return found


def code_of(stage: str) -> dict[str, str]:
    """Returns the digests of the modules behind a stage by name."""
    found: dict[str, str] = {}
    waiting = [MODULES[stage], *REACHED.get(stage, ())]
    seen = {*BESIDE, *MODULES.values()} - {MODULES[stage]}
    while waiting:
        name = waiting.pop()
        if name not in seen and not _is_beside(name) and (module := _module(name)):
            found[name], reached = module
            waiting += reached
        seen.add(name)
    return found


def _is_beside(name: str) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in BESIDE_PACKAGES)


@functools.cache  # stages share most of their modules
def _module(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Returns a module's digest and the modules that can be reached from it, or None if it is not of tfkd."""
    path = _path(name)
    if path is None:
        return None
    tree = ast.parse(path.read_bytes())
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return _tree_digest(tree), tuple(dict.fromkeys(_reached(tree, package)))


def _record(recorded: dict[str, Any], change: Change, reason: str | None) -> None:
    digests = {} if change.new else recorded[change.stage]["digests"]
    digests[_digest(code_of(change.stage))] = "first" if change.new else reason
    recorded[change.stage] = {"version": change.version, "digests": digests}


def _reached(tree: ast.AST, package: str) -> Iterator[str]:
    """Yields the modules that code imports, or names in a text such as "tfkd.writers.tflite" or "module:function"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*around, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.partition(":")[0]
            if _MODULE.fullmatch(text):
                yield text


def _path(name: str) -> Path | None:
    """Returns the file of a module of tfkd, or None for anything else."""
    if name.partition(".")[0] != "tfkd":
        return None
    stem = PROJECT.joinpath(*name.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def _tree_digest(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _digest(modules: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(modules, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
