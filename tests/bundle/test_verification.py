"""`tfkd verify` on a real bundle, and on copies of it that were damaged by accident or on purpose."""

import io
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.verification.conftest import Exported
from tests.verification.whole import write_bundle, write_photos
from tests.writers.conftest import DATA
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.seal import seal
from tfkd.bundle.verification import MANIFEST, Check, verify
from tfkd.cli import execute
from tfkd.errors import RequestError
from tfkd.files import content_digest, content_size
from tfkd.verification.apart import Answered, Apart


@pytest.fixture(scope="module")
def photos(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders that the untrained network predicts correctly."""
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, exported.model)
    return folder


@pytest.fixture(scope="module")
def good(exported: Exported, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the tiny classifier, measured on the photos' test split."""
    folder = tmp_path_factory.mktemp("good") / "tiny"
    write_bundle(folder, exported, photos)
    return folder


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    with Apart() as runner:
        yield runner


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "moved" / "elsewhere"))


def failures(checks: list[Check]) -> list[Check]:
    return [check for check in checks if not check.passed]


def test_a_good_bundle_passes_wherever_it_lies(copy: Path, apart: Apart) -> None:
    before = content_digest(copy)
    checks = verify(copy, apart=apart)
    assert failures(checks) == []
    names = ["files", "checksums", "manifest", "labels", "golden images", "numbers", "gates"]
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


def test_data_of_other_classes(copy: Path, photos: Path, tmp_path: Path, apart: Apart) -> None:
    shutil.copytree(photos, tmp_path / "renamed")
    (tmp_path / "renamed" / "cat").rename(tmp_path / "renamed" / "cats")
    with pytest.raises(RequestError, match=r"has the class 'cats', the bundle's labels do not\. Did you mean 'cat'"):
        verify(copy, f"folder:{tmp_path / 'renamed'}", apart=apart)


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


def flip(path: Path, place: int = 100) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def pretend(path: str) -> Callable[[Path], None]:
    return lambda folder: change_manifest(folder, lambda manifest: manifest["artifacts"][0].update(path=path))


def relabel(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "labels.txt").write_text(text)

    return change


def link(folder: Path) -> None:
    outside = folder.parent / "outside.txt"
    (folder / "labels.txt").rename(outside)
    (folder / "labels.txt").symlink_to(outside)


def link_to_a_folder(folder: Path) -> None:
    (folder / "more").symlink_to(folder.parent, target_is_directory=True)


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "waits.forever")


@pytest.mark.parametrize(
    ("damage", "check", "message"),
    [
        (lambda folder: flip(folder / "android" / "tiny_int8.tflite"), "checksums", "tiny_int8.tflite: not as it was"),
        (lambda folder: flip(folder / "MANIFEST"), "checksums", "MANIFEST: not as it was"),
        (lambda folder: (folder / "golden" / "000.png").unlink(), "checksums", "golden/000.png: is missing"),
        (lambda folder: (folder / "more.txt").write_text("x"), "checksums", "more.txt: is not in SHA256SUMS"),
        (lambda folder: (folder / "SHA256SUMS").write_text("abc  x\n"), "checksums", "line 1: is no checksum"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "checksums", "SHA256SUMS: cannot be read: No such file"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff\xfe"), "checksums", "is no text in UTF-8"),
        (link, "files", "labels.txt: is a link or a device"),
        (link_to_a_folder, "files", "more: is a link or a device"),
        (pipe, "files", "waits.forever: is a link or a device"),
    ],
)
def test_whatever_is_changed_is_named(
    copy: Path, apart: Apart, damage: Callable[[Path], None], check: str, message: str
) -> None:
    (copy / "MANIFEST").write_bytes(bytes(200))
    seal(copy)
    damage(copy)
    refused(verify(copy, apart=apart), check, message)


def refused(checks: list[Check], check: str, message: str) -> None:
    """Asserts that a check fails with these words; other checks of the same file may fail too."""
    failed = {each.name: each.found for each in checks if each.verdict == "failed"}
    assert message in failed[check]
    assert "\n" not in failed[check] and "/proc/" not in failed[check]


def loop(manifest: dict[str, Any]) -> None:
    manifest["recipe"]["export"] = []


@pytest.mark.parametrize(
    ("damage", "check", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "manifest", "manifest.json: cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest", "Invalid JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 10**6), "manifest", "Invalid JSON"),
        (pretend("../../outside.tflite"), "manifest", "'../../outside.tflite' is no tflite file of the bundle"),
        (pretend("/etc/passwd"), "manifest", "'/etc/passwd' is no tflite file"),
        (pretend("android/../android/tiny_fp32.tflite"), "manifest", "is no tflite file of the bundle"),
        (pretend("a\0b.tflite"), "manifest", "is no tflite file of the bundle"),
        (pretend("android/tiny_int8.tflite"), "manifest", "names no file, or one twice"),
        (
            lambda folder: change_manifest(folder, lambda manifest: manifest["artifacts"].pop()),
            "manifest",
            "ios/tiny.mlpackage: manifest.json does not know that model",
        ),
        (
            lambda folder: change_manifest(folder, lambda manifest: manifest.update(surprise=1)),
            "manifest",
            "surprise: Extra inputs are not permitted",
        ),
        (
            lambda folder: change_manifest(folder, lambda manifest: manifest.update(schema="tfkd-manifest-9")),
            "manifest",
            "has the schema 'tfkd-manifest-9'",
        ),
        (lambda folder: change_manifest(folder, loop), "manifest", "its recipe does not state name"),
        (
            lambda folder: flip(folder / "android" / "tiny_int8.tflite"),
            "android/tiny_int8.tflite",
            "is not the file that manifest",
        ),
        (relabel("cat\ndog\n"), "labels", "does not hold the classes"),
        (relabel('cat, "the best"\ndog\ngrößerer Hund\n'), "labels", "does not hold the classes"),
        (relabel("cat\r\ndog\r\ngrößerer Hund\r\n"), "labels", "labels.txt: has Windows line ends"),
        (relabel("\N{CAT FACE}\ndog\ngrößerer Hund\n"), "labels", "does not hold the classes"),
        (
            lambda folder: change_manifest(
                folder, lambda manifest: manifest["data"].update(classes=["cat", "dog", "cat"])
            ),
            "labels",
            "Two classes are named 'cat'",
        ),
        (lambda folder: (folder / "golden" / "000.png").unlink(), "golden images", "golden/000.png: cannot be read"),
        (lambda folder: flip(folder / "golden" / "000.png", 20), "golden images", "golden/000.png: is"),
        (
            lambda folder: Image.new("RGB", (8, 8)).save(folder / "golden" / "000.png"),
            "golden images",
            "golden/000.png: is (8, 8) RGB, not (32, 32) RGB",
        ),
        (
            lambda folder: change_golden(folder, lambda golden: golden["images"][0].update(file="../manifest.json")),
            "golden images",
            "images.0.file: String should match",
        ),
        (
            lambda folder: change_golden(folder, lambda golden: golden["classes"].reverse()),
            "golden images",
            "names other classes",
        ),
    ],
)
def test_seals_do_not_make_a_bundle_right(
    copy: Path, apart: Apart, damage: Callable[[Path], None], check: str, message: str
) -> None:
    damage(copy)
    seal(copy)
    refused(verify(copy, apart=apart), check, message)


def cut(folder: Path) -> None:
    path = folder / "android" / "tiny_int8.tflite"
    path.write_bytes(path.read_bytes()[:-3000])


def other_archive(*names: str) -> Callable[[Path], None]:
    """Packs another archive behind the model."""

    def change(folder: Path) -> None:
        path = folder / "android" / "tiny_int8.tflite"
        stream = io.BytesIO(path.read_bytes())
        stream.seek(0, io.SEEK_END)
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(stream, "a") as archive:
            for name in names:
                archive.writestr(name, "cat\ndog\ngrößerer Hund\n" * 1000)
        path.write_bytes(stream.getvalue())

    return change


def swap(folder: Path) -> None:
    first, second = (folder / "android" / f"tiny_{kind}.tflite" for kind in ("int8", "fp32"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def rewrite_answers(folder: Path) -> None:
    def change(golden: dict[str, Any]) -> None:
        golden["images"][0]["probabilities"]["android/tiny_int8.tflite"].reverse()

    change_golden(folder, change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "holds no readable labels.txt"),
        (other_archive("../../outside.txt"), "packs 'labels.txt', '../../outside.txt', not labels.txt alone"),
        (other_archive("labels.txt"), "packs 'labels.txt', 'labels.txt', not labels.txt alone"),
        (swap, "takes or gives something else than manifest.json says"),
        (rewrite_answers, "its predictions for the golden images are"),
    ],
)
def test_a_model_that_contradicts_the_manifest_fails(
    copy: Path, apart: Apart, damage: Callable[[Path], None], message: str
) -> None:
    damage(copy)
    described_anew(copy)
    seal(copy)
    failed = failures(verify(copy, apart=apart))
    assert "android/tiny_int8.tflite" in [check.name for check in failed]
    assert any(message in check.found for check in failed)
    assert not any("\n" in check.found for check in failed)
    assert not (copy.parent / "outside.txt").exists() and not (copy.parents[1] / "outside.txt").exists()


def test_classes_that_only_the_models_contradict(copy: Path, apart: Apart) -> None:
    """Renamed in every text; each model still says what it was trained for."""

    def rename(manifest: dict[str, Any]) -> None:
        manifest["data"]["classes"][0] = "wolf"

    def rename_golden(golden: dict[str, Any]) -> None:
        golden["classes"][0] = "wolf"
        golden["images"][0]["label"] = "wolf"

    change_manifest(copy, rename)
    change_golden(copy, rename_golden)
    (copy / "labels.txt").write_text("wolf\ndog\ngrößerer Hund\n")
    seal(copy)
    assert len(failures(verify(copy, apart=apart))) == 6


def test_a_package_without_its_list(copy: Path, apart: Apart) -> None:
    (copy / "ios" / "tiny.mlpackage" / "Manifest.json").unlink()
    described_anew(copy)
    seal(copy)
    refused(verify(copy, apart=apart), "ios/tiny.mlpackage", "its Manifest.json cannot be read")


def of_int8(entry: dict[str, Any], family: str | None = None) -> dict[str, list[float]]:
    """Returns the mapping that holds the int8 file's predictions for an image, by path."""
    answers: dict[str, list[float]] = entry["families"][family] if family else entry["probabilities"]
    assert "android/tiny_int8.tflite" in answers
    return answers


def set_answers(copy: Path, change: Callable[[dict[str, Any]], None]) -> None:
    change_golden(copy, lambda index: [change(entry) for entry in index["images"]] and None)
    seal(copy)


def test_files_are_run_with_xnnpack_and_with_litert_s_own_kernels(copy: Path, apart: Apart) -> None:
    (check,) = [check for check in verify(copy, apart=apart) if check.name == "android/tiny_int8.tflite"]
    assert "LiteRT with XNNPACK 0.0e+00 off" in check.found and "LiteRT's own kernels 0.0e+00 off" in check.found
    path = "android/tiny_int8.tflite"
    set_answers(copy, lambda entry: of_int8(entry, "litert_kernels")[path].reverse())
    (failed,) = failures(verify(copy, apart=apart))
    assert failed.name == path and "(LiteRT's own kernels)" in failed.found


def test_missing_predictions_of_a_family_are_reported(copy: Path, apart: Apart) -> None:
    """As tfkd 0.1.0 made them: without tolerances, and without what a runtime needs."""

    def older(manifest: dict[str, Any]) -> None:
        for artifact in manifest["artifacts"]:
            for name in ("golden_tolerances", "min_runtime", "operator_versions"):
                del artifact[name]

    change_manifest(copy, older)
    set_answers(copy, lambda entry: entry.pop("families"))
    checks = verify(copy, apart=apart)
    assert not failures(checks)
    found = [check.found for check in checks if check.name.endswith(".tflite")]
    assert len(found) == 4 and all("no golden predictions of LiteRT's own kernels" in each for each in found)


def test_families_of_later_versions_are_ignored_with_words(copy: Path, apart: Apart) -> None:
    set_answers(copy, lambda entry: entry["families"].update({"of_tomorrow": ["of", {"another": "form"}]}))
    checks = verify(copy, apart=apart)
    assert not failures(checks)
    (check,) = [check for check in checks if check.name == "golden images"]
    assert "ignored: predictions of 'of_tomorrow', unknown to this version" in check.found


@pytest.mark.parametrize("labels", [2, [2], [1.0], ["cat"], [[0.1, 0.2, 0.7]], None])
@pytest.mark.parametrize("family", [None, "litert_kernels"])
def test_golden_predictions_must_be_probabilities_per_class(
    copy: Path, apart: Apart, family: str | None, labels: Any
) -> None:
    set_answers(copy, lambda entry: of_int8(entry, family).update({"android/tiny_int8.tflite": labels}))
    checks = verify(copy, apart=apart)
    refused(checks, "golden images", "android/tiny_int8.tflite")
    assert {check.verdict for check in checks[-6:]} == {"not judged"}, "there is nothing to run them on"


def test_a_tolerance_in_the_manifest_counts_only_if_narrower(copy: Path, apart: Apart) -> None:
    path = "android/tiny_int8.tflite"

    def move(entry: dict[str, Any]) -> None:
        first, second, third = of_int8(entry)[path]
        by = 0.1 if first < 0.5 else -0.1
        of_int8(entry)[path] = [first + by, second - by, third]

    def stated(value: float) -> Callable[[dict[str, Any]], None]:
        return lambda manifest: (
            [artifact["golden_tolerances"].update(xnnpack=value) for artifact in manifest["artifacts"]] and None
        )

    set_answers(copy, move)
    change_manifest(copy, stated(1.0))
    seal(copy)
    refused(verify(copy, apart=apart), path, "0.0078 is allowed")

    change_manifest(copy, stated(0.0))
    seal(copy)
    refused(verify(copy, apart=apart), path, " 0 is allowed")


def test_a_file_of_zero_predictions_fails_even_if_the_bundle_expects_them(
    copy: Path, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "android/tiny_int8.tflite"

    def zeros(*arguments: Any) -> Answered:
        answered = run(*arguments)
        return replace(answered, probabilities=answered.probabilities * (arguments[1].name != Path(path).name))

    run = Apart.run
    monkeypatch.setattr(Apart, "run", zeros)
    refused(verify(copy, apart=apart), path, "its predictions are all zero")
    set_answers(copy, lambda entry: of_int8(entry).update({path: [0.0, 0.0, 0.0]}))
    refused(verify(copy, apart=apart), path, "android/tiny_int8.tflite as LiteRT with XNNPACK are all zero")


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
