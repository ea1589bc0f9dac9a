"""Changes of a bundle, and what `tfkd verify` says of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfkd.bundle.verification import Check
from tfkd.files import content_digest, content_size


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def change_golden(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "golden" / "golden.json"
    golden = json.loads(path.read_text())
    change(golden)
    path.write_text(json.dumps(golden))


def described_anew(folder: Path) -> None:
    """Writes the digests of changed models into the manifest, as somebody would who wants to hide the change."""

    def digests(manifest: dict[str, Any]) -> None:
        for artifact in manifest["artifacts"]:
            path = folder / artifact["path"]
            artifact["sha256"], artifact["bytes"] = content_digest(path), content_size(path)

    change_manifest(folder, digests)


def failures(checks: list[Check]) -> list[Check]:
    return [check for check in checks if not check.passed]


def refused(checks: list[Check], check: str, message: str) -> None:
    """Asserts that a check fails with these words; other checks of the same file may fail too."""
    failed = {each.name: each.found for each in checks if each.verdict == "failed"}
    assert message in failed[check]
    assert "\n" not in failed[check] and "/proc/" not in failed[check]
