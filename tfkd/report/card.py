"""MODEL_CARD.md in the form that model hubs read: YAML front matter, then the sections of Mitchell et al. 2019.

Sources: arXiv:1810.03993; the Hugging Face Hub's model card metadata (`license`, `pipeline_tag`, `model-index`).
"""

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tfkd import files
from tfkd.bundle.manifest import Manifest
from tfkd.errors import legible
from tfkd.formats import FORMATS
from tfkd.inputs import kind_of
from tfkd.report import costs, facts, flips, rejections, scores, units, usage, wrong_classes

_HUB_LICENSES = ("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "gpl-3.0")
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")


class Raw(str):
    """Text that is Markdown already."""


def write_model_card(manifest: Manifest, path: Path) -> None:
    """Writes the model card of a bundle.

    Raises:
        RequestError: the manifest compares no teacher with no student, or the file cannot be written.
    """
    images = manifest.data.splits["test"]
    card = render(
        "model_card.md.j2",
        manifest=manifest,
        front_matter=Raw(_yaml(_metadata(manifest))),
        input=usage.described(manifest),
        elsewhere=kind_of(manifest.signature.kind).elsewhere,
        headline=facts.headline(manifest),
        verdict=facts.verdict(manifest),
        promises_say=facts.promises_say(manifest),
        has_control_row=facts.has_control_row(manifest),
        control_says=facts.control_says(manifest),
        order_says=wrong_classes.says(manifest),
        flips=flips.rows(manifest),
        flips_of_shipped=flips.says(manifest),
        initial_weights=facts.initial_weights(manifest),
        rescue_says=facts.rescue_says(manifest),
        costs_say=costs.says(manifest),
        accuracy=lambda fraction: (
            "not measured" if fraction is None else units.plus_minus(fraction, facts.standard_error(fraction, images))
        ),
        score_table=scores.score_table(manifest),
        thresholds=scores.threshold_lines(manifest),
        rejections=rejections.lines(manifest),
        calibration=rejections.calibration(manifest),
        temperature_says=rejections.temperature_says(manifest),
        none_says=rejections.none_says(manifest),
        estimated=scores.estimated,
        against=facts.against,
        images=images,
        folds_say=facts.folds_say(manifest),
        weights_of=facts.weights_of,
        domains_say=facts.domains_say(manifest),
        test_uses_say=facts.test_uses_say(manifest),
        value=facts.value,
        limit=facts.limit,
        again=Raw(" ".join(facts.again(manifest).replace("`", "'").split())),  # it is between fences
        usages=usage.usages(manifest),
        percent=units.percent,
        points=lambda difference: units.known(difference, units.points),
        size=units.size,
        milliseconds=units.milliseconds,
        raw=Raw,
    )
    files.write_text(path, card)


def render(template: str, **values: Any) -> str:
    """Returns a Markdown template of tfkd.report filled in; every value but `Raw` text is escaped."""
    environment = Environment(
        loader=PackageLoader("tfkd.report"),
        autoescape=False,  # Markdown, not HTML: `finalize` escapes every value
        finalize=lambda value: value if isinstance(value, Raw) else escape(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def escape(text: str) -> str:
    """Makes text mean itself in Markdown, within a line, a table cell or a list item."""
    line = legible(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", line)


_TASKS = {"row": "tabular"}  # what model hubs call the classification of rows


def _metadata(manifest: Manifest) -> dict[str, Any]:
    shipped, kind = facts.headline(manifest).shipped, _TASKS.get(manifest.noun, manifest.noun)
    task = f"{kind}-classification"
    written = {artifact.format for artifact in manifest.artifacts}
    formats = [format for name, format in FORMATS.items() if name in written]
    return {
        **_license(manifest.recipe["export"]["license"]),
        "library_name": formats[0].library,
        "pipeline_tag": task,
        "tags": [
            task,
            *(["knowledge-distillation"] if manifest.teachers else []),
            *dict.fromkeys(tag for format in formats for tag in format.tags),
            "tfkd",
        ],
        "metrics": ["accuracy"],
        "model-index": [
            {
                "name": manifest.name,
                "results": [
                    {
                        "task": {"type": task, "name": f"{kind.capitalize()} classification"},
                        "dataset": {"name": manifest.data.source, "type": manifest.data.source, "split": "test"},
                        "metrics": [
                            {"type": "accuracy", "name": f"Accuracy ({shipped.variant})", "value": shipped.accuracy}
                        ],
                    }
                ],
            }
        ],
    }


def _license(name: str) -> dict[str, str]:
    if name.lower() in _HUB_LICENSES:
        return {"license": name.lower()}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") or "unstated"}


def _yaml(value: Any, indent: str = "") -> str:
    """Writes nested dicts and lists as block YAML; scalars are JSON, which YAML contains."""
    if isinstance(value, dict):
        lines = [f"{indent}{key}:{_nested(each, indent)}" for key, each in value.items()]
    else:
        lines = [f"{indent}- {_yaml(each, indent + '  ').lstrip() if _deep(each) else _json(each)}" for each in value]
    return "\n".join(lines)


def _nested(value: Any, indent: str) -> str:
    return f"\n{_yaml(value, indent + '  ')}" if _deep(value) else f" {_json(value)}"


def _deep(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
