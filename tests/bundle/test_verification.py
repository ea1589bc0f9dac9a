"""`tfkd verify` on a good bundle: its checks, its gates and the command."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.bundle.changes import change_manifest, failures, refused
from tests.writers.conftest import DATA
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.seal import seal
from tfkd.bundle.verification import MANIFEST, Check, verify
from tfkd.cli import execute
from tfkd.errors import RequestError
from tfkd.files import content_digest
from tfkd.verification.apart import Apart


def test_a_good_bundle_passes_wherever_it_lies(copy: Path, apart: Apart) -> None:
    before = content_digest(copy)
    checks = verify(copy, apart=apart)
    assert failures(checks) == []
    names = ["files", "checksums", "manifest", "labels", "golden examples", "numbers", "gates"]
    assert [check.name for check in checks[:7]] == names
    assert len(checks) == 7 + 6
    assert content_digest(copy) == before


def test_the_accuracies_are_measured_again(copy: Path, photos: Path, apart: Apart) -> None:
    checks = verify(copy, f"folder:{photos}", apart=apart)
    by_name = {check.name: check for check in checks}
    assert [check.name for check in failures(checks)] == ["data"], "the fingerprint in this manifest is made up"
    assert f"{DATA}" in by_name["data"].found
    assert sum(name.startswith("accuracy of ") for name in by_name) == 6

    def worse(manifest: dict[str, Any]) -> None:
        manifest["artifacts"][0]["accuracy"] -= 0.5

    change_manifest(copy, worse)
    seal(copy)
    names = [check.name for check in failures(verify(copy, f"folder:{photos}", apart=apart))]
    assert names == ["numbers", "gates", "data", "accuracy of android/tiny_fp32.tflite"]


def unseen_photos(photos: Path, folder: Path, moved: int) -> str:
    """Copies ten photos of a class and one of another one; of the ten, some lie in the folder of the other class."""
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
    ten, one = sorted((photos / "cat").iterdir())[:10], min((photos / "dog").iterdir())
    for number, photo in enumerate(ten):
        shutil.copy(photo, folder / ("dog" if number < moved else "cat"))
    shutil.copy(one, folder / "dog")
    return f"folder:{folder}"


def test_unseen_photos_are_all_measured_and_fail_where_the_file_is_worse(
    copy: Path, photos: Path, tmp_path: Path, apart: Apart
) -> None:
    right = verify(copy, apart=apart, unseen=unseen_photos(photos, tmp_path / "right", 0))
    assert failures(right) == []
    found = {check.name: check.found for check in right}
    assert found["unseen examples"] == "11 examples of 2 of 3 classes, all measured"
    title = "accuracy of android/tiny_fp32.tflite on unseen examples"
    assert re.match(r"\d+\.\d % \(\d+\.\d to 100.0 %\) on 11 unseen examples, \d+\.\d % on the bundle's ", found[title])
    wrong = verify(copy, apart=apart, unseen=unseen_photos(photos, tmp_path / "wrong", 9))
    (failed,) = [check for check in wrong if check.name == title]
    assert failed.verdict == "failed" and "worse than it was measured (p ≤ 0.01)" in failed.found


def test_one_unseen_photo_tells_nothing(copy: Path, photos: Path, tmp_path: Path, apart: Apart) -> None:
    (tmp_path / "one" / "cat").mkdir(parents=True)
    shutil.copy(min((photos / "cat").iterdir()), tmp_path / "one" / "cat")
    checks = verify(copy, apart=apart, unseen=f"folder:{tmp_path / 'one'}")
    found = [check for check in checks if check.name.endswith("on unseen examples")]
    assert {check.verdict for check in found} == {"not judged"} and "too few to tell them apart" in found[0].found


def test_a_source_is_opened_before_files_are_run(copy: Path) -> None:
    class Untouched:
        def run(self, *arguments: Any) -> None:
            raise AssertionError("a file was run")

    with pytest.raises(RequestError, match="missing"):
        verify(copy, "folder:missing", apart=Untouched())  # type: ignore[arg-type]


def test_data_of_other_classes(copy: Path, photos: Path, tmp_path: Path, apart: Apart) -> None:
    shutil.copytree(photos, tmp_path / "renamed")
    (tmp_path / "renamed" / "cat").rename(tmp_path / "renamed" / "cats")
    with pytest.raises(RequestError, match=r"has the class 'cats', the bundle's labels do not\. Did you mean 'cat'"):
        verify(copy, f"folder:{tmp_path / 'renamed'}", apart=apart)


def test_a_failed_gate_is_reported(copy: Path, apart: Apart) -> None:
    def fail(manifest: dict[str, Any]) -> None:
        student = manifest["student"]
        gain = student["accuracy"] - student["control_accuracy"]
        manifest["recipe"]["gates"]["min_gain_over_control"] = 0.5
        manifest["gates"].append({"name": "min_gain_over_control", "value": gain, "limit": 0.5, "passed": False})

    change_manifest(copy, fail)
    seal(copy)
    (failed,) = failures(verify(copy, apart=apart))
    assert failed == Check(
        "gates", "failed", f"{MANIFEST}: these failed when the bundle was made: min_gain_over_control."
    )


def test_a_gate_that_was_not_judged_is_not_called_passed(
    copy: Path, apart: Apart, capfd: pytest.CaptureFixture[str]
) -> None:
    def switch_off(manifest: dict[str, Any]) -> None:
        manifest["recipe"]["gates"].update(diagnosis=False, switched_off_by="--smoke")
        (gate,) = [gate for gate in manifest["gates"] if gate["name"] == "diagnosis"]
        gate |= {"verdict": "not judged", "passed": False, "value": None, "limit": None}
        gate["reason"] = "switched off by --smoke"

    change_manifest(copy, switch_off)
    seal(copy)
    checks = verify(copy, apart=apart)
    (check,) = failures(checks)
    assert (check.name, check.verdict) == ("gates", "not judged")
    assert check.found == "not judged when the bundle was made: switched off by --smoke (diagnosis); 29 passed"
    assert execute(["verify", str(copy)]) == 0
    shown = " ".join(capfd.readouterr().out.split())
    assert "12 of 13 checks passed, 1 of 13 checks not judged" in shown and "checks passed: " not in shown


def test_a_gate_that_contradicts_itself_is_reported(copy: Path, apart: Apart) -> None:
    change_manifest(copy, lambda manifest: manifest["gates"][0].update(passed=True, verdict="failed"))
    seal(copy)
    refused(verify(copy, apart=apart), "manifest", "passed = True and the verdict 'failed'")


def test_what_is_no_bundle(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone", Path(__file__)):
        with pytest.raises(RequestError, match="is no bundle"):
            verify(folder)


@pytest.mark.slow
def test_the_command(copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> int:
        return execute(["verify", *arguments])

    assert run(str(copy)) == 0
    output, errors = capfd.readouterr()
    assert "all 13 checks passed" in " ".join(output.split()) and errors == ""
    (copy / "labels.txt").write_text("x")
    assert run(str(copy)) == 1
    assert "11 of 13 checks passed, 2 of 13 checks failed" in " ".join(capfd.readouterr().out.split())
    assert run(str(tmp_path)) == 2
    assert "is no bundle" in capfd.readouterr().err


def test_the_manifest_reads_back(good: Path) -> None:
    assert len(Manifest.model_validate_json((good / "manifest.json").read_bytes()).artifacts) == 6
