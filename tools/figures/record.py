"""Records the numbers of a published bundle as evidence for the figures of README.md."""

import json
from pathlib import Path
from typing import Any

from tfkd.bundle.manifest import Manifest
from tfkd.files import write_json
from tools.figures.marks import FigureError

_ROW = ("variant", "bytes", "compressed_bytes", "latency_ms", "accuracy")


def record(
    bundle: Path,
    command: str,
    out: Path,
    sweep: Path | None = None,
    sweep_command: str = "",
    comparison: Path | None = None,
) -> None:
    """Writes the evidence of a run; keeps the file's results of several seeds unless a sweep is given.

    Args:
        bundle: folder of a published bundle, with its manifest.json.
        command: the command that made the bundle.
        out: the evidence file.
        sweep: a sweep.json of one variation with several seeds.
        sweep_command: the command that made it.
        comparison: a comparison.json of the same run, whose rows replace those of the bundle.

    Raises:
        FigureError: a file cannot be read, or has other content.
    """
    kept = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    manifest = Manifest.model_validate_json(_content(bundle / "manifest.json"))
    found = {**kept, "run": _run(manifest, command)}
    if comparison is not None:
        found["run"]["comparison"] = list(map(_row, json.loads(_content(comparison))))
    if sweep is not None:
        found["seeds"] = _seeds(json.loads(_content(sweep)), sweep_command, manifest)
    write_json(out, found)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FigureError(f"{path} cannot be read: {error.strerror}.") from None


def _run(manifest: Manifest, command: str) -> dict[str, Any]:
    recipe, student, teacher = manifest.recipe, manifest.student, manifest.teachers[0]
    return {
        "command": command,
        "tfkd_version": manifest.tfkd_version,
        "created": str(manifest.created),
        "machine": manifest.environment,
        "seed": student.exported_seed,
        "test_images": manifest.data.splits["test"],
        "splits": manifest.data.splits,
        "unlabelled": _unlabelled(manifest),
        "teacher": {"model": teacher.model, "image_size": teacher.image_size},
        "student": {
            "model": student.model,
            "width": recipe["student"]["width"],
            "image_size": student.image_size,
        },
        "control_accuracy": student.control_accuracy,
        "gates": {
            verdict: sum(gate.verdict == verdict for gate in manifest.gates)
            for verdict in ("passed", "failed", "not judged")
        },
        "comparison": [_row(row.model_dump(mode="json")) for row in manifest.comparison],
        "cost": manifest.cost and manifest.cost.distillation.model_dump(mode="json"),
    }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in _ROW}


def _unlabelled(manifest: Manifest) -> int:
    """Returns the number of training images that only the teacher labels, for a fraction below 1."""
    data = manifest.recipe["data"]
    if data["unlabelled"] != "rest":
        return 0
    train = manifest.data.splits["train"]
    return round(train / data["fraction"]) - train


def _seeds(sweep: dict[str, Any], command: str, manifest: Manifest) -> dict[str, Any]:
    if len(sweep.get("trials", [])) != 1:
        raise FigureError("The sweep holds several variations; give one of a single recipe with several seeds.")
    (trial,) = sweep["trials"]
    fields = ("seeds", "accuracies", "control_accuracies", "validation_accuracies", "control_validation_accuracies")
    return {"command": command, "machine": manifest.environment, **{name: trial[name] for name in fields}}
