"""report.html: one page that shows what a run achieved, with everything it needs inside."""

import base64
import functools
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tfkd import files
from tfkd.bundle.evidence import Evidence, Example, other_classes
from tfkd.bundle.manifest import ComparisonRow, Manifest
from tfkd.errors import RequestError, legible
from tfkd.inputs import shown_type
from tfkd.recipe import Gates
from tfkd.report import (
    classes,
    costs,
    facts,
    flips,
    measurements,
    plots,
    rejections,
    rules,
    scores,
    suspects,
    units,
    usage,
    wrong_classes,
)
from tfkd.verification.gates import REQUIRED, VERIFIED
from tfkd.verification.records import Gate
from tfkd.verification.rejection import REJECT

_SHOWN_CLASSES = 4
_OPEN_EXAMPLES = 12  # more are folded: on a phone each takes half a screen
_OTHER_GATES = {
    REQUIRED: "the file could be made",
    VERIFIED: "the file could be run on this machine",
    REJECT: "export.reject is kept on the test split: p-value of its counts by the beta-binomial distribution",
}
_UNITS = {
    "known": units.known,
    "size": units.size,
    "ms": units.milliseconds,
    "megabytes": units.megabytes,
    "percent": units.percent,
    "duration": units.seconds,
}
_VERDICTS = ("failed", "not judged", "passed")  # in the order in which they matter


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
    _require_same_classes(manifest, evidence)
    images, names = manifest.data.splits["test"], manifest.data.classes
    page = render(
        "report.html.j2",
        manifest=manifest,
        devices=devices,
        headline=facts.headline(manifest),
        verdict=facts.verdict(manifest),
        is_smoke=facts.is_smoke(manifest),
        has_control_row=facts.has_control_row(manifest),
        has_memory=facts.has_memory(manifest),
        **_sentences(manifest),
        teacher_described=facts.teacher_described,
        against=facts.against,
        images=images,
        error=lambda fraction: 100 * facts.standard_error(fraction, images),
        role=role,
        **_UNITS,
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
        **_of_classes(evidence, names),
        **_of_order(manifest, evidence),
        **_of_flips(manifest, evidence),
        **_of_costs(manifest),
        **_of_rules(evidence),
        suspects_say=suspects.says(manifest.suspected_labels),
        suspects=evidence.suspects,
        **_scores(manifest),
        **_of_rejections(manifest),
        examples=[_example(example, names) for example in evidence.examples],
        open_examples=_OPEN_EXAMPLES,
        gates=_gates(manifest.gates),
        accelerated=[artifact for artifact in manifest.artifacts if artifact.accelerators],
        usages=usage.usages(manifest),
        again=facts.again(manifest),
        recipe=json.dumps(manifest.recipe, indent=2, ensure_ascii=False),
    )
    files.write_text(path, page)


def _of_rules(evidence: Evidence) -> dict[str, Any]:
    """Returns what the page shows of a student that consists of trees, by the names of the template."""
    found = evidence.rules
    return {
        "rules_say": rules.says(found) if found else "",
        "rules_text": rules.text(found) if found else "",
        "rules_drawing": Markup(rules.drawing(found)) if found else None,
    }


def _of_classes(evidence: Evidence, names: list[str]) -> dict[str, Any]:
    """Returns what the page shows of mistaken classes, by the names of the template."""
    confusion = evidence.confusion
    return {
        "matrix": classes.matrix(confusion) if confusion else None,
        "pairs": classes.pairs(confusion, names, evidence.mistakes) if confusion else [],
        "per_class": classes.per_class(confusion, names) if confusion else None,
    }


def _of_rejections(manifest: Manifest) -> dict[str, Any]:
    """Returns what the page shows of labels that are withheld and of calibration, by the names of the template."""
    return {
        "rejections": rejections.lines(manifest),
        "coverage_plot": _drawn(rejections.plot(manifest)),
        "calibration": rejections.calibration(manifest),
        "temperature_says": rejections.temperature_says(manifest),
    }


def _of_costs(manifest: Manifest) -> dict[str, Any]:
    """Returns what the page shows of the costs of the run, by the names of the template."""
    return {
        "costs_say": costs.says(manifest),
        "cost_rows": costs.rows(manifest),
        "cost_plot": _drawn(costs.plot(manifest)),
    }


def _sentences(manifest: Manifest) -> dict[str, Any]:
    """Returns what the page says in words, by the names of the template."""
    says = (
        *(facts.control_says, facts.initial_weights, facts.rescue_says),
        *(facts.agreement_says, facts.folds_say, facts.test_uses_say, facts.promises_say),
    )
    return {"input": usage.described(manifest)} | {function.__name__: function(manifest) for function in says}


def _of_order(manifest: Manifest, evidence: Evidence) -> dict[str, Any]:
    drawn = _drawn(wrong_classes.plot(manifest, evidence))
    return {"order_says": wrong_classes.says(manifest), "order_plot": drawn}


def _of_flips(manifest: Manifest, evidence: Evidence) -> dict[str, Any]:
    shipped = flips.of_shipped(manifest)
    return {
        "flips": flips.rows(manifest),
        "flipped_classes": flips.classes(shipped) if shipped else None,
        "flipped_images": flips.images_of(evidence.flips, manifest),
    }


def render(template: str, **values: Any) -> str:
    """Returns an HTML template of tfkd.report filled in; every value but `Markup` is escaped."""
    return _environment().get_template(template).render(**values)


@functools.cache  # which compiles each template once
def _environment() -> Environment:
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
        "media_type": shown_type,
        "decoded": lambda text: base64.b64decode(text).decode(),
    }
    return environment


def _legible(value: Any) -> Any:
    """Escapes characters that change how the text around them is shown."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(legible, value.split("\n")))


def _breakable(path: str) -> Markup:
    """Lets a long path or gate name break after slashes and underscores, before any other place."""
    return Markup("<wbr>").join(re.split("(?<=[/_])", legible(path)))


def role(variant: str) -> str:
    """Returns who a row of the comparison is: teacher, control or student; each has its colour on the page."""
    return next((each for each in ("teacher", "control") if variant.startswith(each)), "student")


def _require_same_classes(manifest: Manifest, evidence: Evidence) -> None:
    classes = other_classes(evidence, manifest)
    if classes is not None:
        raise RequestError(
            f"The evidence of {manifest.name} has {classes} classes where its manifest has "
            f"{len(manifest.data.classes)}: they are of different runs. Run the recipe again."
        )


def _scores(manifest: Manifest) -> dict[str, Any]:
    """Returns what the page says of recall and precision of each class."""
    return {
        "score_table": scores.score_table(manifest),
        "thresholds": scores.threshold_lines(manifest),
        "estimated": scores.estimated,
        "few_classes": scores.SHORT,
    }


def _gates(gates: list[Gate]) -> list[tuple[str, list[Gate]]]:
    """Returns the gates by kind, each kind with what it checks; kinds and gates that did not pass come first."""

    def kind(gate: Gate) -> str:
        return gate.name.partition("/")[0]

    by_kind = [(name, list(group)) for name, group in itertools.groupby(sorted(gates, key=kind), key=kind)]
    for _, group in by_kind:
        group.sort(key=lambda gate: _VERDICTS.index(gate.verdict))
    by_kind.sort(key=lambda each: (_VERDICTS.index(each[1][0].verdict), gates.index(each[1][0])))
    return [(_checks(name), group) for name, group in by_kind]


def _checks(kind: str) -> str:
    field = Gates.model_fields.get(kind)
    return (field.description if field else _OTHER_GATES.get(kind)) or ""


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
        curves = plots.learning_curves(parts, "loss", "parts of the student's training loss, weighted")
        drawn.append(("What the student's training loss is made of", curves))
    if teacher:
        drawn.append(("Fine-tuning of the teacher", plots.learning_curves(teacher, "validation_accuracy")))
    return [(title, Markup(svg)) for title, svg in drawn]


def _drawn(svg: str | None) -> Markup | None:
    return None if svg is None else Markup(svg)


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
class _Answers:
    """One photo with the probabilities of the classes that matter in it."""

    image: str
    label: str
    verdicts: dict[str, tuple[str, bool]]  # who -> predicted class, right or wrong
    bars: list[tuple[str, dict[str, float]]]  # class -> who -> probability


def _example(example: Example, classes: list[str]) -> _Answers:
    outputs = {"teacher": example.teacher, "control": example.control, "student": example.student}
    predictions = {
        who: np.asarray(probabilities) for who, probabilities in outputs.items() if probabilities is not None
    }
    highest = np.max(list(predictions.values()), axis=0)
    if example.label in classes:
        highest[classes.index(example.label)] = np.inf  # the true class is always shown, and first
    shown = [int(index) for index in np.argsort(-highest, kind="stable")[:_SHOWN_CLASSES]]
    best = {who: classes[int(probabilities.argmax())] for who, probabilities in predictions.items()}
    return _Answers(
        image=example.image,
        label=example.label,
        verdicts={who: (name, name == example.label) for who, name in best.items()},
        bars=[(classes[index], {who: float(each[index]) for who, each in predictions.items()}) for index in shown],
    )
