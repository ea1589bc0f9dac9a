import re

import pytest
import yaml

from tests.bundle.manifests import of_texts
from tests.report.conftest import give
from tfkd.bundle.manifest import DomainEntry
from tfkd.report.card import escape, write_model_card
from tfkd.verification.records import Diagnosis
from tfkd.verification.verdict import not_judged

HOSTILE = ("<script>alert(1)</script>", "a|b", "*bold* _it_ `code`", "dress 👗", "[x](http://e.com)", "two\nlines")


@pytest.fixture
def card(tmp_path):
    def written(manifest):
        path = tmp_path / "MODEL_CARD.md"
        write_model_card(manifest, path)
        _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
        return yaml.safe_load(front), body

    return written


def test_front_matter_is_what_hubs_read(card, make_manifest):
    front, _ = card(make_manifest())
    assert front["pipeline_tag"] == "image-classification" and front["library_name"] == "litert"
    assert {"tflite", "coreml", "knowledge-distillation"} <= set(front["tags"])
    result = front["model-index"][0]["results"][0]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"]["split"] == "test"
    assert result["metrics"] == [{"type": "accuracy", "name": "Accuracy (student int8)", "value": 0.887}]


def test_a_card_of_texts_has_their_tags_and_speaks_of_texts(card, make_manifest):
    front, body = card(of_texts(make_manifest()))
    assert front["pipeline_tag"] == "text-classification" and "image-classification" not in front["tags"]
    task = front["model-index"][0]["results"][0]["task"]
    assert task == {"type": "text-classification", "name": "Text classification"}
    for piece in ("Classifies one text into", "1,000 test texts;", "| split | texts |", "texts of other writers"):
        assert piece in body
    said = re.sub(r"`[^`]*`|```.*?```", "", body.replace(make_manifest().recipe["export"]["description"], ""))
    assert not re.search(r"\b(image|photo|pixel)s?\b", said, re.IGNORECASE)


def test_the_domain_of_each_teacher_is_named(card, make_manifest):
    manifest = make_manifest()
    assert "by domain" not in card(manifest)[1]
    manifest.teachers[0].domain = DomainEntry(pattern="xray-*", images=400)
    found = "Teachers by domain: efficientnet\\_lite0, domain xray-\\* (accuracy 91.4 % on 400 test examples)."
    assert found in card(manifest)[1]


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("see MODEL_CARD.md", {"license": "other", "license_name": "see-model-card.md"}),
        ('our "own": yes', {"license": "other", "license_name": "our-own-yes"}),
    ],
)
def test_license_is_one_that_hubs_know_or_other(card, make_manifest, license, expected):
    manifest = make_manifest()
    manifest.recipe["export"]["license"] = license
    front, _ = card(manifest)
    assert {key: value for key, value in front.items() if key.startswith("license")} == expected


def test_front_matter_keeps_hostile_text(card, make_manifest):
    manifest = make_manifest()
    manifest.data.source = "folder:a: 'b' \"c\" # d\n---\n👗"
    front, _ = card(manifest)
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == manifest.data.source


def test_tables_show_the_manifests_numbers(card, make_manifest):
    _, body = card(make_manifest())
    assert "answered augmented views of the\ntraining images" in body
    assert "| teacher fp32 | 18.6 MB | 21.4 ms | 91.4 % ± 0.9 | 0.0 points |" in body
    assert "| student int8 | 1.66 MB | 1.39 ms | 88.7 % ± 1.0 | −2.7 points |" in body
    assert r"| android/quickstart\_int8.tflite | int8 | 1.66 MB | 88.7 % | 98.9 % | 0.042 |" in body
    assert r"| min\_speed\_ratio | 15.4 | ≥ 3 | passed |" in body


def test_weights_are_those_of_a_named_teacher(card, make_manifest):
    manifest = make_manifest()
    (teacher,) = manifest.teachers
    assert f"({teacher.model.replace('_', chr(92) + '_')}, weights imagenet, input" in card(manifest)[1]
    teacher.model = "mine.keras"
    assert "(mine.keras, input" in card(manifest)[1]


def test_control_that_was_not_exported_shows_its_accuracy(card, make_manifest):
    rows = [row for row in make_manifest().model_dump()["comparison"] if not row["variant"].startswith("control")]
    _, body = card(make_manifest(comparison=rows))
    assert "| control | not exported | not exported | 87.1 % ± 1.1 | −4.3 points |" in body


def test_every_table_has_as_many_cells_in_each_row(card, make_manifest):
    manifest = make_manifest(HOSTILE, control=False, seeds=1)
    manifest.comparison[1].variant = "student | fp32"
    give(manifest.gates[0], "failed")
    give(manifest.gates[1], "not judged", "a | b")
    _, body = card(manifest)
    tables = re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE)
    assert len(tables) == 4
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert "| control | not run |" in body and "Control not run" in body and "**failed**" in body
    assert r"**not judged**: a \| b" in body and "4 gates passed" not in body


def test_hostile_class_names_are_one_list_item_each(card, make_manifest):
    _, body = card(make_manifest(HOSTILE))
    items = re.findall(r"^(\d)\. (.*)$", body, re.MULTILINE)
    assert [int(number) for number, _ in items] == list(range(len(HOSTILE)))
    assert [text for _, text in items] == [escape(name) for name in HOSTILE]
    assert "<script>" not in body


def test_escape():
    assert escape("a|b *c* <d> `e` [f]_\n g") == r"a\|b \*c\* &lt;d&gt; \`e\` \[f\]\_ g"
    assert escape("R&D &lt;b&gt;") == "R&amp;D &amp;lt;b&amp;gt;"


def test_usage_follows_the_files(card, make_manifest):
    _, body = card(make_manifest())
    assert "android/quickstart\\_int8.tflite into app" in body and "android/QuickstartClassifier.kt among" in body
    assert "Input: uint8 \\[1, 96, 96, 3\\]" in body and "ios/QuickstartClassifier.swift" in body
    manifest = make_manifest()
    manifest.artifacts = [each for each in manifest.artifacts if each.precision == "fp32" and each.format == "tflite"]
    front, body = card(manifest)
    assert "android/quickstart\\_fp32.tflite into app" in body and "Input: float32" in body
    assert "### iOS" not in body and "coreml" not in front["tags"]


def test_likely_causes_are_listed_and_escaped(card, make_manifest):
    manifest = make_manifest()
    manifest.diagnosis = [Diagnosis(subject="m", cause="labels", evidence="As if *a* | b.", proposal="x=y")]
    _, body = card(manifest)
    assert "Likely causes:" in body and r"\*a\* \| b" in body and "Likely causes" not in card(make_manifest())[1]


def test_promises_that_are_not_proven_are_named_in_words(card, make_manifest):
    manifest = make_manifest()
    reason = "the test split has no example of it, 98.0 % is promised"
    manifest.gates += [not_judged(f"min_recall/{file}/rust", reason) for file in ("a.tflite", "b.tflite")]
    _, body = card(manifest)
    assert f"\n- Not proven: the recall of 'rust' ({reason}).\n" in body and body.count("Not proven") == 1
    assert "Not proven" not in card(make_manifest())[1]
