"""Two bundles, compared by what they hold."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.releases.bundles import BUNDLE, change_json, copied, swap_labels, swap_outputs
from tfkd.errors import RequestError
from tfkd.files import content_digest, content_size
from tfkd.releases.comparing import compare
from tfkd.releases.limits import DiffLimits
from tfkd.releases.records import Diff

SWAPPED = "labels 3 and 4 are swapped ('Dress' and 'Coat')"


def failed(diff: Diff) -> dict[str, str]:
    return {gate.name: gate.reason for gate in diff.gates if gate.verdict == "failed"}


def test_equal_bundles_pass(tmp_path: Path) -> None:
    limits = DiffLimits(max_accuracy_drop=0.0, max_size_increase=0.0, max_latency_increase=0.01)
    diff = compare(BUNDLE, copied(tmp_path / "new"), limits=limits).diff
    assert diff.passed and diff.changes == [] and diff.same_test_images and len(diff.files) == 6
    assert {gate.verdict for gate in diff.gates} == {"passed"}
    int8 = diff.files[3]
    assert (int8.images, int8.negative_flips and int8.negative_flips.test.lost) == (4, 0)
    assert [(cost.threads, cost.ratio) for cost in int8.costs] == [(1, 1.0), (2, 1.0)]


def test_swapped_labels_are_named_by_list_and_by_predictions(tmp_path: Path) -> None:
    swap_labels(copied(tmp_path / "new"))
    outcome = compare(BUNDLE, tmp_path / "new")
    found = failed(outcome.diff)
    assert list(found) == ["contract/labels", "contract/meaning"] and not outcome.diff.passed
    assert found["contract/labels"] == SWAPPED and SWAPPED in found["contract/meaning"]
    int8 = outcome.diff.files[3]
    assert [(each.label, each.old, each.new) for each in int8.examples] == [("Dress", "Dress", "Coat")]
    assert len(outcome.thumbnails[3].lost) == 1 and outcome.thumbnails[3].gained == ()


def test_swapped_outputs_are_found_from_the_golden_examples_alone(tmp_path: Path) -> None:
    swap_outputs(copied(tmp_path / "new"))
    found = failed(compare(BUNDLE, tmp_path / "new").diff)
    assert list(found) == ["contract/meaning"] and SWAPPED in found["contract/meaning"]


def test_labels_that_moved_with_their_outputs_keep_their_meaning(tmp_path: Path) -> None:
    swap_labels(copied(tmp_path / "new"))
    swap_outputs(tmp_path / "new")
    assert list(failed(compare(BUNDLE, tmp_path / "new").diff)) == ["contract/labels"]


def test_a_list_of_labels_that_contradicts_its_manifest(tmp_path: Path) -> None:
    lines = (copied(tmp_path / "new") / "labels.txt").read_text().splitlines()
    (tmp_path / "new" / "labels.txt").write_text("\n".join(reversed(lines)))
    found = failed(compare(BUNDLE, tmp_path / "new").diff)
    assert "labels.txt of the new bundle contradicts its manifest" in found["contract/labels"]
    assert "contract/meaning" in found


def test_two_examples_of_another_network_refute_no_swap(tmp_path: Path) -> None:
    def trained_again(golden: Any) -> None:
        for image in golden["images"]:
            for path, (first, *others, last) in image["probabilities"].items():
                image["probabilities"][path] = [0.9 * first, *others, last + 0.1 * first]

    def other_bytes(manifest: Any) -> None:
        for artifact in manifest["artifacts"]:
            path = tmp_path / "new" / artifact["path"]
            if path.is_file():
                path.write_bytes(path.read_bytes() + b"x")
                artifact.update(bytes=content_size(path), sha256=content_digest(path))

    change_json(copied(tmp_path / "new") / "golden" / "golden.json", trained_again)
    (meaning,) = [each for each in compare(BUNDLE, tmp_path / "new").diff.gates if each.name == "contract/meaning"]
    assert meaning.verdict == "passed", "the files are the same ones"
    change_json(tmp_path / "new" / "manifest.json", other_bytes)
    (meaning,) = [each for each in compare(BUNDLE, tmp_path / "new").diff.gates if each.name == "contract/meaning"]
    assert meaning.verdict == "not judged" and "7, at least one of each, would show" in meaning.reason
    assert meaning.reason.endswith("; add --data, or more examples")


def test_golden_examples_of_other_images_show_nothing(tmp_path: Path) -> None:
    folder = copied(tmp_path / "new") / "golden"
    for first, second in (("000", "001"), ("002", "003")):
        content = (folder / f"{first}.png").read_bytes(), (folder / f"{second}.png").read_bytes()
        (folder / f"{first}.png").write_bytes(content[1])
        (folder / f"{second}.png").write_bytes(content[0])
    unlike = compare(BUNDLE, tmp_path / "new").diff
    assert "contract/meaning" not in failed(unlike), "four photos do not show which classes moved"
    from PIL import Image

    for number in range(4):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(folder / f"{number:03d}.png")
    diff = compare(BUNDLE, tmp_path / "new", limits=DiffLimits(max_negative_flips=0.1)).diff
    assert diff.notes == ["the bundles have no golden example in common; add --data to compare predictions"]
    assert {gate.verdict for gate in diff.gates if "flips" in gate.name or "meaning" in gate.name} == {"not judged"}
    assert diff.files[0].negative_flips is None and diff.passed


def test_other_test_images_are_not_compared_by_accuracy(tmp_path: Path) -> None:
    def other(manifest: Any) -> None:
        manifest["data"]["fingerprint"] = "abc"

    change_json(copied(tmp_path / "new") / "manifest.json", other)
    diff = compare(BUNDLE, tmp_path / "new", limits=DiffLimits(max_accuracy_drop=0.1)).diff
    drops = [gate for gate in diff.gates if gate.name.startswith("max_accuracy_drop")]
    assert {gate.verdict for gate in drops} == {"not judged"} and "other test examples" in drops[0].reason


def classes_renamed(folder: Path) -> None:
    names = [f"class {number}" for number in range(10)]
    change_json(folder / "manifest.json", lambda manifest: manifest["data"].update(classes=names))
    change_json(folder / "golden" / "golden.json", lambda golden: golden.update(classes=names))
    change_json(
        folder / "golden" / "golden.json", lambda golden: [image.update(label=None) for image in golden["images"]]
    )
    (folder / "labels.txt").write_text("\n".join(names))


def other_files(folder: Path) -> None:
    def only_fp32(manifest: Any) -> None:
        manifest["artifacts"] = [each for each in manifest["artifacts"] if each["precision"] == "dynamic"]
        manifest["artifacts"][0]["precision"] = "16x8"

    change_json(folder / "manifest.json", only_fp32)
    shutil.rmtree(folder / "ios")
    for path in (folder / "android").glob("*.tflite"):
        if "dynamic" not in path.name:
            path.unlink()

    def without(golden: Any) -> None:
        for image in golden["images"]:
            kept = ("keras", "android/fixture_dynamic.tflite")
            image["probabilities"] = {path: row for path, row in image["probabilities"].items() if path in kept}

    change_json(folder / "golden" / "golden.json", without)


def damaged_file(folder: Path) -> None:
    (folder / "android" / "fixture_int8.tflite").write_bytes(b"x")


def link(folder: Path) -> None:
    (folder / "secret").symlink_to("/etc/passwd")


def no_json(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def labels_missing(folder: Path) -> None:
    (folder / "labels.txt").unlink()


def labels_empty(folder: Path) -> None:
    (folder / "labels.txt").write_text("")


def evidence_damaged(folder: Path) -> None:
    (folder / "evidence.json").write_text(json.dumps({"examples": 3}))


def golden_impossible(folder: Path) -> None:
    def change(golden: Any) -> None:
        for image in golden["images"]:
            image["probabilities"]["android/fixture_int8.tflite"] = [5.0] + 9 * [0.0]

    change_json(folder / "golden" / "golden.json", change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (classes_renamed, "of other classes altogether"),
        (other_files, "have no file of the same format and precision"),
        (damaged_file, "android/fixture_int8.tflite: is not the file that manifest.json describes"),
        (link, "secret: is a link"),
        (no_json, "manifest.json: it: "),
        (labels_missing, "labels.txt: cannot be read"),
        (labels_empty, "labels.txt: "),
        (evidence_damaged, "evidence.json cannot be read"),
        (golden_impossible, "android/fixture_int8.tflite as LiteRT with XNNPACK lie between 0 and 5"),
        (shutil.rmtree, "is no bundle"),
    ],
)
def test_what_cannot_be_compared_is_one_line(damage: Any, message: str, tmp_path: Path) -> None:
    damage(copied(tmp_path / "new"))
    for pair in ((BUNDLE, tmp_path / "new"), (tmp_path / "new", BUNDLE)):
        with pytest.raises(RequestError) as error:
            compare(*pair)
        assert message in str(error.value) and "\n" not in str(error.value) and "/proc/" not in str(error.value)
