"""report.html: one page that shows what a run achieved, with everything it needs inside."""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tfkd import files
from tfkd.errors import RequestError, legible
from tfkd.export.manifest import ComparisonRow, Manifest
from tfkd.report import facts, measurements, plots, units, usage
from tfkd.report.evidence import Confusion, Evidence, Example

_LABELLED_CLASSES = 24  # a labelled matrix of more classes is not readable on a page
_DRAWN_CLASSES = 1000  # a picture of more has more pixels than a screen, and its memory grows with their square
_SHOWN_CONFUSIONS = 8
_SHOWN_CLASSES = 4


def write_report(
    manifest: Manifest, evidence: Evidence, path: Path, devices: str | None = "measurements/index.html"
) -> None:
    """Writes the page; it loads nothing from anywhere, and is readable on a phone, in light and in dark.

    Args:
        manifest: what it shows.
        evidence: the rest of it.
        path: of the page.
        devices: link to the page of the bundle's measurements; None where there is none.

    Raises:
        RequestError: the evidence has other classes than the manifest, or the page cannot be written.
    """
    _check(manifest, evidence)
    images = manifest.data.splits["test"]
    page = render(
        "report.html.j2",
        manifest=manifest,
        devices=devices,
        headline=facts.headline(manifest),
        verdict=facts.verdict(manifest),
        has_control_row=facts.has_control_row(manifest),
        control_says=facts.control_says(manifest),
        images=images,
        error=lambda share: 100 * facts.standard_error(share, images),
        role=role,
        known=units.known,
        size=units.size,
        ms=units.milliseconds,
        megabytes=units.megabytes,
        percent=units.percent,
        duration=units.seconds,
        value=facts.value,
        limit=facts.limit,
        places=measurements.timed(manifest.bench),
        counted=measurements.counted(manifest.bench),
        quantile=measurements.quantile,
        interval=measurements.interval,
        golden=measurements.golden,
        largest=measurements.largest,
        scatters=_scatters(manifest, images),
        curves=_curves(evidence),
        confusion=_confusion(evidence.confusion, manifest.data.classes),
        examples=[_example(example, manifest.data.classes) for example in evidence.examples],
        accelerated=[artifact for artifact in manifest.artifacts if artifact.accelerators],
        usages=usage.usages(manifest),
        again=facts.again(manifest),
        recipe=json.dumps(manifest.recipe, indent=2, ensure_ascii=False),
    )
    files.write_text(path, page)


def render(template: str, **values: Any) -> str:
    """Returns an HTML template of tfkd.report filled in; every value but `Markup` is escaped."""
    environment = Environment(
        loader=PackageLoader("tfkd.report"),
        autoescape=True,
        finalize=_legible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": units.percent,
        "points": units.points,
        "size": units.size,
        "ms": units.milliseconds,
        "signed": units.signed,
        "breakable": _breakable,
    }
    return environment.get_template(template).render(**values)


def _legible(value: Any) -> Any:
    """Escapes characters that change how the text around them is shown."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(legible, value.split("\n")))


def _breakable(path: str) -> Markup:
    """Lets a long path or gate name break after its slashes, and only there."""
    return Markup("/<wbr>").join(legible(path).split("/"))


def role(variant: str) -> str:
    """Returns who a row of the comparison is: teacher, control or student; each has its colour on the page."""
    return next((each for each in ("teacher", "control") if variant.startswith(each)), "student")


def _check(manifest: Manifest, evidence: Evidence) -> None:
    classes = len(manifest.data.classes)
    lengths = {
        len(answer) for each in evidence.examples for answer in (each.teacher, each.control, each.student) if answer
    }
    if evidence.confusion is not None:
        lengths.add(evidence.confusion.classes)
    if lengths - {classes}:
        raise RequestError(
            f"The evidence of {manifest.name} has {max(lengths - {classes})} classes where its manifest has {classes}: "
            "they are of different runs. Run the recipe again."
        )


def _scatters(manifest: Manifest, images: int) -> list[tuple[str, Markup]]:
    def dots(cost: Any) -> list[plots.Dot]:
        return [
            plots.Dot(
                row.variant, role(row.variant), cost(row), row.accuracy, facts.standard_error(row.accuracy, images)
            )
            for row in manifest.comparison
        ]

    def megabytes(row: ComparisonRow) -> float:
        return row.bytes / 1e6

    def milliseconds(row: ComparisonRow) -> float:
        return row.latency_ms

    return [
        ("Accuracy over file size", Markup(plots.scatter(dots(megabytes), "file size, MB"))),
        ("Accuracy over latency", Markup(plots.scatter(dots(milliseconds), "latency, one thread, ms"))),
    ]


def _curves(evidence: Evidence) -> list[tuple[str, Markup]]:
    pair, teacher = _trained(evidence, "control", "student"), _trained(evidence, "teacher")
    drawn = []
    if pair:
        who = " and ".join(curve.label for curve in pair)
        drawn.append((f"Validation accuracy of {who}", plots.learning_curves(pair, "validation_accuracy")))
        drawn.append((f"Training loss of {who}", plots.learning_curves(pair, "loss")))
    if parts := _parts(evidence):
        drawn.append(("What the student's training loss is made of", plots.learning_curves(parts, "loss")))
    if teacher:
        drawn.append(("Fine-tuning of the teacher", plots.learning_curves(teacher, "validation_accuracy")))
    return [(title, Markup(svg)) for title, svg in drawn]


def _parts(evidence: Evidence) -> list[plots.Curve]:
    """Returns each part of the student's loss as a curve, where there are several."""
    seeds = [[point for point in points if point.parts] for points in evidence.curves.get("student", {}).values()]
    names = [name for name in seeds[0][0].parts if name != "distillation_loss"] if seeds and all(seeds) else []
    return [
        plots.Curve(
            name.removesuffix("_loss").replace("_", " "),
            "control" if name == "label_loss" else "student",
            [[point.model_copy(update={"loss": point.parts[name]}) for point in points] for points in seeds],
        )
        for name in (names if len(names) > 1 else [])
    ]


def _trained(evidence: Evidence, *kinds: str) -> list[plots.Curve]:
    return [
        plots.Curve(kind, kind, list(seeds.values()))
        for kind, seeds in evidence.curves.items()
        if kind in kinds and seeds
    ]


@dataclass(frozen=True)
class _Matrix:
    """A confusion matrix made ready for the page.

    Few classes have labelled cells, more have one picture, and very many only their most frequent mistakes.
    """

    variant: str
    counts: list[list[int]]
    shares: list[list[float]]  # of the true class's images
    picture: str | None  # base64 text of a PNG
    worst: list[tuple[str, str, int, int]]  # true class, predicted class, images so, images of the true class


def _confusion(confusion: Confusion | None, classes: list[str]) -> _Matrix | None:
    if confusion is None:
        return None
    cells = np.array(confusion.cells, np.int64).reshape(-1, 3)
    totals = np.bincount(cells[:, 0], weights=cells[:, 2], minlength=confusion.classes).astype(int)
    counts, shares = _squares(cells, totals) if confusion.classes <= _DRAWN_CLASSES else (np.zeros((0, 0), int),) * 2
    labelled = confusion.classes <= _LABELLED_CLASSES
    mistakes = cells[cells[:, 0] != cells[:, 1]]
    worst = mistakes[np.argsort(-mistakes[:, 2], kind="stable")[:_SHOWN_CONFUSIONS]].tolist()
    return _Matrix(
        variant=confusion.variant,
        counts=counts.tolist() if labelled else [],
        shares=np.sqrt(shares).round(3).tolist() if labelled else [],
        picture=None if labelled or not len(shares) else _heat_map(shares),
        worst=[(classes[i], classes[j], count, int(totals[i])) for i, j, count in worst],
    )


def _squares(cells: np.ndarray, totals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images of each pair of classes, and their share of the true class, both [classes, classes]."""
    counts = np.zeros((len(totals), len(totals)), np.int64)
    counts[cells[:, 0], cells[:, 1]] = cells[:, 2]
    return counts, counts / np.maximum(totals, 1)[:, None]


def _heat_map(shares: np.ndarray) -> str:
    """Draws shares as the opacity of blue on the diagonal and of orange off it, one pixel a cell."""
    from PIL import Image

    pixels = np.empty((*shares.shape, 4), np.uint8)
    pixels[..., :3] = np.where(np.eye(len(shares), dtype=bool)[..., None], (0, 114, 178), (213, 94, 0))
    pixels[..., 3] = np.round(255 * np.sqrt(shares))
    stream = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(stream, "png", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


@dataclass(frozen=True)
class _Answers:
    """One photo with the probabilities of the classes that matter in it."""

    image: str
    label: str
    verdicts: dict[str, tuple[str, bool]]  # who -> predicted class, right or wrong
    bars: list[tuple[str, dict[str, float]]]  # class -> who -> probability


def _example(example: Example, classes: list[str]) -> _Answers:
    answers = {"teacher": example.teacher, "control": example.control, "student": example.student}
    given = {who: np.asarray(probabilities) for who, probabilities in answers.items() if probabilities is not None}
    highest = np.max(list(given.values()), axis=0)
    if example.label in classes:
        highest[classes.index(example.label)] = np.inf  # the true class is always shown, and first
    shown = [int(index) for index in np.argsort(-highest, kind="stable")[:_SHOWN_CLASSES]]
    best = {who: classes[int(probabilities.argmax())] for who, probabilities in given.items()}
    return _Answers(
        image=example.image,
        label=example.label,
        verdicts={who: (name, name == example.label) for who, name in best.items()},
        bars=[(classes[index], {who: float(each[index]) for who, each in given.items()}) for index in shown],
    )
