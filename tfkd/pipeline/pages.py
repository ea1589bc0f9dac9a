"""Completes bundles with their pages, and recreates the report of a finished run."""

import os
from pathlib import Path

from tfkd.bundle import assembly
from tfkd.bundle.evidence import Evidence
from tfkd.bundle.golden import Golden
from tfkd.bundle.layout import EVIDENCE, MANIFEST, MEASUREMENTS
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.seal import seal
from tfkd.errors import RequestError, cause
from tfkd.files import write_text
from tfkd.pipeline.folders import RunFolder
from tfkd.report import rules
from tfkd.report.card import write_model_card
from tfkd.report.devices import HTML
from tfkd.report.html import write_report

REPORT, MODEL_CARD = "report.html", "MODEL_CARD.md"
RULES, DRAWING = "rules.txt", "rules.svg"  # of trees


def complete(bundle: Path, manifest: Manifest, golden: Golden, evidence: Evidence) -> None:
    """Writes all other files of a bundle with exported files, and seals it."""
    assembly.write(bundle, manifest, golden, evidence)
    write_model_card(manifest, bundle / MODEL_CARD)
    if evidence.rules:
        write_text(bundle / RULES, rules.text(evidence.rules))
        write_text(bundle / DRAWING, rules.drawing(evidence.rules))
    write_report(manifest, evidence, bundle / REPORT)
    seal(bundle)


def rewrite(run: Path) -> tuple[Manifest, Path]:
    """Recreates the report of a finished run in the run's folder.

    Raises:
        RequestError: the folder is not that of a finished run.
    """
    if not run.is_dir():
        raise RequestError(f"There is no folder {run}. Name that of a run, e.g. runs/quickstart, or of a bundle.")
    folder = RunFolder(run)
    try:
        manifest = Manifest.model_validate_json((folder.bundle / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise _unfinished(run, error) from None
    return manifest, write_page(manifest, folder, folder.report)


def write_page(manifest: Manifest, folder: RunFolder, page: Path) -> Path:
    """Writes the report of a manifest with the evidence of a finished run.

    Raises:
        RequestError: the folder is not that of a finished run.
    """
    stored = folder.bundle / EVIDENCE
    try:
        content = (stored if stored.exists() else folder.evidence_of_before).read_bytes()
        evidence = Evidence.model_validate_json(content)
    except (OSError, ValueError) as error:
        raise _unfinished(folder.path, error) from None
    devices = folder.bundle / MEASUREMENTS / HTML
    write_report(manifest, evidence, page, os.path.relpath(devices, page.parent) if devices.is_file() else None)
    return page


def is_published(run: Path, destination: Path) -> bool:
    """Returns whether a bundle is that of a run."""
    in_run, published = (each / MANIFEST for each in (RunFolder(run).bundle, destination))
    return published.is_file() and published.read_bytes() == in_run.read_bytes()


def _unfinished(run: Path, error: Exception) -> RequestError:
    return RequestError(f"{run} is not the folder of a finished run ({cause(error)}); run its recipe first.")
