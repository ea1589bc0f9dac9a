"""The page is read back with a parser: what a browser would show and load, not what the template looks like."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.report.conftest import give
from tfkd.bundle.evidence import Confusion, Evidence
from tfkd.errors import RequestError
from tfkd.recipe import Recipe, shrunk
from tfkd.report.html import write_report
from tfkd.verification.records import Diagnosis

HOSTILE = (
    "<script>alert(1)</script>",
    "a|b",
    "\"quoted\" & 'so'",
    "dress 👗",
    "$x$ {{ 7*7 }} {% raw %}",
    "</td></table>",
)


VOID = {"meta", "img", "input", "br", "wbr", "path", "use"}


class Page(HTMLParser):
    """Collects the tags with their attributes and the text of a page; void elements apart, tags must close in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts, self.rows = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)
            if {"td", "th"} & set(self.open):
                self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def ids(self):
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def fold(self, section):
        """Returns the attributes of the first <details> after a section's heading."""
        start = next(i for i, (_, attributes) in enumerate(self.tags) if attributes.get("id") == section)
        return next(attributes for tag, attributes in self.tags[start:] if tag == "details")

    def row(self, first):
        return next([cell.strip() for cell in row] for row in self.rows if row and row[0].strip() == first)


@pytest.fixture(scope="module")
def path(tmp_path_factory, make_manifest, make_evidence):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(make_manifest(), make_evidence(), path)
    return path


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def render(tmp_path):
    def rendered(manifest, evidence):
        path = tmp_path / "report.html"
        write_report(manifest, evidence, path)
        return Page(path.read_text(encoding="utf-8"))

    return rendered


def test_headline_and_tables_show_the_manifests_numbers(page):
    for piece in ("All 4 gates passed", "11.2 times smaller", "15.4 times faster", "88.7 % right", "1,000 test images"):
        assert piece in page.text
    for name, size, latency, accuracy, points in (
        ("teacher fp32", "18.6 MB", "21.4 ms", "91.4 % ± 0.9", "0.0"),
        ("control fp32", "6.12 MB", "1.45 ms", "87.1 % ± 1.1", "−4.3"),
        ("student int8", "1.66 MB", "1.39 ms", "88.7 % ± 1.0", "−2.7"),
    ):
        assert page.row(name) == [name, accuracy, points, size, "–", latency, "–", "–", "–"]
    file = page.row("android/quickstart_int8.tflite" + "int8")
    assert file[1:7] == ["88.7 %", "1.66 MB", "92.0 %", "98.9 %", "0.042", "1"]
    assert page.row("min_speed_ratio") == ["min_speed_ratio", "15.4", "≥ 3", "✓ passed"]
    assert page.row("ios/quickstart.mlmodel" + "fp32")[1:6:2] == ["not run"] * 3


def test_every_number_of_the_comparison_follows_the_manifest(render, make_manifest):
    rows = make_manifest().model_dump()["comparison"]
    rows[3] |= {"bytes": 7_654_321, "latency_ms": 3.21, "accuracy": 0.8123, "drop": 0.1017}
    rows[4] |= {"compressed_bytes": 1_234_567, "latency_all_ms": 2.34, "agreement": 0.9034, "seconds": 75.4}
    page = render(make_manifest(comparison=rows), Evidence())
    assert page.row(rows[3]["variant"])[1:] == ["81.2 % ± 1.2", "−10.2", "7.65 MB", "–", "3.21 ms", "–", "–", "–"]
    assert page.row(rows[4]["variant"])[4:7:2] == ["1.23 MB", "2.34 ms"]
    assert page.row(rows[4]["variant"])[7:] == ["90.3 %", "75 s"]


def test_memory_is_a_column_where_it_was_measured(render, make_manifest):
    rows = make_manifest().model_dump()["comparison"]
    rows[4] |= {"peak_memory_mb": 12.34}
    page = render(make_manifest(comparison=rows), Evidence())
    assert [page.row(rows[number]["variant"])[7] for number in (3, 4)] == ["–", "12.3 MB"]
    assert len(page.row(rows[3]["variant"])) == 1 + len(render(make_manifest(), Evidence()).row(rows[3]["variant"]))


def test_a_failed_gate_is_on_top(render, make_manifest):
    manifest = make_manifest()
    give(manifest.gates[0], "failed")
    page = render(manifest, Evidence())
    assert "✗ 1 of 4 gates failed: max_accuracy_drop/quickstart_int8.tflite" in page.text
    assert page.row("max_accuracy_drop/quickstart_int8.tflite")[3] == "✗ failed"
    assert "open" in page.fold("gates")


def test_gates_that_did_not_pass_come_first(render, make_manifest):
    manifest = make_manifest()
    manifest.gates.append(manifest.gates[1].model_copy(update={"name": "min_agreement/z.tflite"}))
    give(manifest.gates[4], "failed")
    give(manifest.gates[3], "not judged", "why not")
    page = render(manifest, Evidence())
    names = [row[0] for row in page.rows if len(row) == 4 and row[3] and row[3][0] in "✓✗–"]
    expected = [f"min_agreement/{name}.tflite" for name in ("z", "quickstart_int8")]
    expected += ["min_speed_ratiowhy not", "max_accuracy_drop/quickstart_int8.tflite"]
    assert names == [*expected, "one_partition/quickstart_int8.tflite"]


def test_gates_are_folded_when_all_passed_and_are_explained(page):
    assert "open" not in page.fold("gates")
    checks = "Accuracy of the Keras model minus that of a file"
    assert page.text.index(checks) < page.text.index("max_accuracy_drop/quickstart_int8.tflite")


def test_contents_lists_every_section(page):
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "h2"]
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"][: len(sections)] == [
        f"#{section}" for section in sections
    ]
    assert {"comparison", "examples", "mistakes", "classes", "gates"} < set(sections)


def test_accuracy_follows_the_name(page):
    heads = [row for row in page.rows if "Accuracy" in row]
    assert [row[0] for row in heads] == ["Variant", "Class", "File"]
    assert all(row[1] == "Accuracy" for row in heads)


def test_photos_enlarge_without_a_script(page):
    """A checkbox inside the photo's label holds its state; CSS shows the checked one over the whole page."""
    photos = [i for i, (tag, _) in enumerate(page.tags) if tag == "img"]
    assert len(photos) == 6 + 8 + 3
    for i in photos:
        (label, _), (box, kind) = page.tags[i - 2 : i]
        assert (label, box, kind["type"]) == ("label", "input", "checkbox")


def test_only_a_smoke_run_has_a_banner(render, make_manifest, page):
    manifest = make_manifest()
    recipe = shrunk(Recipe.model_validate(manifest.recipe))
    manifest.recipe = recipe.model_dump(mode="json")
    assert "Smoke run. Every step ran" in render(manifest, Evidence()).text
    assert "Smoke run" not in page.text


def test_quality_comes_before_size_and_speed(page):
    assert (
        page.text.index("88.7 % right") < page.text.index("11.2 times smaller") < page.text.index("15.4 times faster")
    )
    assert "teacher 91.4 %, control 87.1 %, chance 10.0 %" in page.text


def test_a_gate_that_was_not_judged_is_not_called_passed(render, make_manifest):
    manifest = make_manifest()
    give(manifest.gates[0], "not judged", "switched off by --smoke")
    page = render(manifest, Evidence())
    assert (
        "– 1 of 4 gates not judged: switched off by --smoke (max_accuracy_drop/quickstart_int8.tflite); 3 passed"
        in page.text
    )
    row = page.row("max_accuracy_drop/quickstart_int8.tflite" + "switched off by --smoke")
    assert row[3] == "– not judged" and "gates passed" not in page.text


def test_a_failed_bundle_has_nothing_to_ship(render, make_manifest, page):
    assert "The marked row is the one to ship." in page.text
    manifest = make_manifest()
    give(manifest.gates[0], "failed")
    text = render(manifest, Evidence()).text
    assert "would ship if no gate had failed" in text and "to ship." not in text and "passed; " not in text


def test_likely_causes_are_listed(render, make_manifest, page):
    manifest = make_manifest()
    manifest.diagnosis = [Diagnosis(subject="m", cause="labels", evidence="As if <swapped>.", proposal="--labels x")]
    text = render(manifest, Evidence()).text
    assert 0 < text.index("As if <swapped>. Try --labels x.") < text.index("Comparison"), "beside the headline"
    assert "Likely causes" not in page.text


@pytest.mark.filterwarnings("error")
def test_hostile_names_stay_text(render, make_manifest, make_evidence):
    manifest = make_manifest(HOSTILE)
    manifest.comparison[2].variant = "student </text><script>$\\frac$ fp32"
    manifest.environment["<b>"] = "<img src=x>"
    page = render(manifest, make_evidence(HOSTILE))
    assert not [tag for tag, _ in page.tags if tag in ("script", "b_", "iframe", "object", "link")]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert {attributes["src"][:22] for tag, attributes in page.tags if tag == "img"} == {"data:image/png;base64,"}
    for name in HOSTILE:
        assert name in page.text
    assert manifest.comparison[2].variant in page.text


def test_page_loads_nothing(page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            if name in attributes and (tag, attributes[name]) != ("a", "measurements/index.html"):
                assert attributes[name].startswith(("#", "data:image/png;base64,")), (tag, attributes)
        assert "url(" not in (attributes.get("style") or "").replace("url(#", "")
    policies = [attributes["content"] for tag, attributes in page.tags if attributes.get("http-equiv")]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@pytest.mark.parametrize("devices", ["../report/bundle/measurements/index.html", None])
def test_the_link_to_the_devices_is_where_they_are_or_is_absent(tmp_path, make_manifest, devices):
    write_report(make_manifest(), Evidence(), tmp_path / "page.html", devices)
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a" and attributes["href"][0] != "#"]
    assert links == ([devices] if devices else [])


def test_a_stage_that_was_computed_elsewhere_is_shown(render, make_manifest, page):
    assert "made elsewhere" not in page.text
    manifest = make_manifest()
    manifest.environments = {"teacher": {"cores": "64", "keras": "3.1"}}
    assert "teacher was made elsewhere: cores 64, keras 3.1." in render(manifest, Evidence()).text


def test_references_inside_the_plots_meet_one_target_each(page):
    ids = page.ids()
    assert len(ids) == len(set(ids))
    used = [attributes["xlink:href"][1:] for tag, attributes in page.tags if tag == "use"]
    used += [
        found
        for _, attributes in page.tags
        for found in re.findall(r"url\(#([^)]*)\)", str(attributes.get("clip-path")))
    ]
    assert used and set(used) <= set(ids)


def test_plots_take_their_colours_from_the_page(page):
    assert [tag for tag, _ in page.tags].count("svg") == 6
    drawn = " ".join(attributes.get("style") or "" for tag, attributes in page.tags if tag in ("path", "use", "text"))
    assert {"var(--ink)", "var(--teacher)", "var(--control)", "var(--student)"} <= set(
        re.findall(r"var\(--\w+\)", drawn)
    )
    assert not re.findall(r"#[0-9a-f]{6}", drawn)


def test_same_input_gives_the_same_bytes(tmp_path, make_manifest, make_evidence, path):
    write_report(make_manifest(), make_evidence(), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == path.read_bytes()


def test_a_missing_control_is_shown_on_the_page(render, make_manifest, make_evidence):
    page = render(make_manifest(control=False, seeds=1), make_evidence(control=False, seeds=1))
    assert page.row("control") == ["control", "control not run"]
    assert "Control not run: this run cannot tell" in page.text
    drawn = " ".join(attributes.get("style") or "" for _, attributes in page.tags)
    assert "var(--control)" not in drawn


def test_control_that_was_not_exported_shows_its_accuracy(render, make_manifest):
    rows = [row for row in make_manifest().model_dump()["comparison"] if not row["variant"].startswith("control")]
    page = render(make_manifest(comparison=rows), Evidence())
    assert page.row("control") == ["control", "87.1 % ± 1.1", "−4.3", "not exported", "", ""]


def test_a_run_with_no_evidence_bench_or_gates_is_still_a_page(render, make_manifest):
    values = make_manifest().model_dump()
    student = values["student"] | dict.fromkeys(("negative_flips", "wrong_classes", "control_wrong_classes"))
    artifacts = [each | {"negative_flips": None} for each in values["artifacts"]]
    page = render(make_manifest(bench=[], gates=[], student=student, artifacts=artifacts), Evidence())
    assert "Latency was not measured." in page.text and "No gates were set" in page.text
    assert not {"mistakes", "classes", "examples", "flips"} & set(page.ids())
    assert "wrong classes" not in page.text.lower()


def test_one_epoch_and_missing_validation_can_be_drawn(render, make_manifest, make_evidence):
    evidence = make_evidence()
    evidence.curves["control"] = {seed: points[:1] for seed, points in evidence.curves["control"].items()}
    for points in evidence.curves["student"].values():
        for point in points:
            point.validation_accuracy = None
    page = render(make_manifest(), evidence)
    assert [tag for tag, _ in page.tags].count("svg") == 6


def test_the_parts_of_the_students_loss_are_drawn(render, make_manifest, make_evidence):
    evidence = make_evidence()
    for points in evidence.curves["student"].values():
        for point in points:
            point.parts = {"label_loss": 0.2, "distillation_loss": 0.5, "soft_targets_loss": 0.4, "hint_loss": 0.1}
    page = render(make_manifest(), evidence)
    assert "What the student's training loss is made of" in page.text
    assert "soft targets" in page.text and "hint" in page.text
    assert [tag for tag, _ in page.tags].count("svg") == 7


def test_many_classes_become_a_picture(render, make_manifest, make_evidence):
    classes = tuple(f"class {number}" for number in range(120))
    page = render(make_manifest(classes), make_evidence(classes))
    assert [attributes for tag, attributes in page.tags if (attributes.get("class") or "").startswith("heat")]
    assert page.row("90 to 100 %")[1] == "120" and page.row("80 to 90 %")[1] == "0"
    assert "open" not in page.fold("classes") and "All 120 classes" in page.text
    results = [row[0] for row in page.rows if len(row) == 5 and row[3].endswith(" of 100")]
    assert len(results) == 12 + 120 and set(results) == set(classes)
    flipped = [row[0] for row in page.rows if len(row) == 4 and row[3] == "60"]
    assert flipped == [f"class {number}" for number in range(12, 0, -1)]
    assert "1 more class has 16 negative flips" in page.text


def test_very_many_classes_have_their_worst_pairs_alone(render, make_manifest, make_evidence):
    """A square of a million classes would need 8 TB."""
    classes = ("grey", *["another"] * 999_998, "gray")
    evidence = make_evidence(("grey", "gray"))
    cells = [(0, 0, 1), (0, 999_999, 3), (7, 7, 1), (999_999, 999_999, 4)]
    evidence.confusion = Confusion(variant="student", classes=len(classes), cells=cells)
    evidence.examples = []
    page = render(make_manifest(classes), evidence)
    drawn = {(attributes.get("class") or "").split(" ")[0] for _, attributes in page.tags}
    assert not drawn & {"heat", "matrix"}
    assert "grey taken for gray: 3 of 4" in page.text and "1,000,000 classes is not drawn" in page.text
    assert page.row("grey") == ["grey", "25.0 %", "", "1 of 4", "gray (3)"]
    assert "999,997 of 1,000,000 classes have no test images" in page.text


def test_negative_flips_are_counted_and_shown(page):
    assert page.row("android/quickstart_int8.tflite") == [
        "android/quickstart_int8.tflite",
        "205",
        "22.4 % (19.8 to 25.2)",
        "178",
        "0.092",
    ]
    assert [row[1:] for row in page.rows if row[0] == "ankle boot" and len(row) == 4] == [["25", "", "60"]]
    assert "Negative flips of student int8 per class" in page.text
    assert "0.62 ± 0.01, that of the control at 0.48" in page.text
    assert page.text.count("Keras student 71 %, fp32 71 %") == 3


def test_mistakes_are_counted_right(render, make_manifest, make_evidence):
    evidence = make_evidence()
    cells = [(i, i, 100) for i in range(10) if i != 6] + [(6, 0, 31), (6, 2, 4), (6, 6, 65)]
    evidence.confusion = Confusion(variant="student", classes=10, cells=cells)
    mistake = evidence.mistakes[0]
    mistake.label = mistake.teacher.label = "shirt"
    mistake.control.label, mistake.student.label = "bag", "T-shirt"
    page = render(make_manifest(), evidence)
    card = "shirt taken for T-shirt: 31 of 100 ✓ 71 % teacher ✗ bag 64 % control ✗ T-shirt 93 % student"
    assert f"{card} shirt taken for pullover: 4 of 100 Confusion matrix" in page.text
    assert ["shirt", "65.0 %", "", "65 of 100", "T-shirt (31)"] in page.rows
    assert ["shirt", "31", "", "4", "", "", "", "65", "", "", ""] in page.rows


def test_evidence_of_an_earlier_version_is_a_page(render, make_manifest, make_evidence):
    stored = make_evidence().model_dump(mode="json", exclude={"mistakes", "confusion"})
    counts = np.diag([9] * 9 + [8])
    counts[9, 0] = 1
    evidence = Evidence.model_validate({**stored, "confusion": {"variant": "it", "counts": counts.tolist()}})
    page = render(make_manifest(), evidence)
    assert "ankle boot taken for T-shirt: 1 of 9" in page.text and "most certain" not in page.text


def test_examples_show_the_true_class_and_who_is_right(render, make_manifest, make_evidence):
    evidence = make_evidence()
    example = evidence.examples[0]
    example.label = "dress"
    example.teacher = [0.0] * 3 + [0.95] + [0.05] + [0.0] * 5
    example.control = [0.6, 0.3, 0.1, 0.0, 0.0] + [0.0] * 5
    example.student = [0.1] + [0.0] * 2 + [0.9] + [0.0] * 6
    evidence.examples = [example]
    text = render(make_manifest(), evidence).text
    assert "dress ✓ teacher ✗ T-shirt control ✓ student dress 95 % 0 % 90 % T-shirt 0 % 60 % 10 % trouser" in text


def test_evidence_of_another_run_is_refused(tmp_path, make_manifest, make_evidence):
    with pytest.raises(RequestError, match="has 3 classes where its manifest has 10"):
        write_report(make_manifest(), make_evidence(("a", "b", "c")), tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_every_place_shows_what_was_measured_there(render, make_manifest):
    host = make_manifest().model_dump()["bench"][0]
    full = host | {"soc": "Fast 9", "delegate": "xnnpack", "rung": "device", "partitions": 3, "init_ms": 5.25}
    full |= {"first_inference_ms": 7.75, "peak_memory_mb": 8.25, "golden_error": 0.0004, "golden_passed": True}
    full |= {"latency_ms": {"median": 2.0, "p90": 2.5, "min": 1.5, "interval": [1.9, 2.1], "throttled": True}}
    tool = full | {"target": "android", "threads": None, "golden_passed": False, "golden_error": 0.2, "emulated": True}
    tool |= {"rung": "virtual device", "latency_ms": {"median": 3.0, "p95": 3.5, "min": 2.5}}
    page = render(make_manifest(bench=[tool, full]), Evidence())
    assert "android: AMD EPYC, Fast 9, LiteRT 2.3.0" in page.text and "host: AMD EPYC, Fast 9" in page.text
    assert "level: device." in page.text and "level: virtual device, emulated." in page.text
    rows = [row[1:] for row in page.rows if row and row[0] == host["artifact"]]
    measured, steady = ["5.25 ms", "7.75 ms", "8.25 MB", "3"], "2.00 ms1.90 – 2.10became slower"
    assert rows == [
        ["xnnpack", "–", "3.00 ms", "3.50 ms (95th)", "2.50 ms", *measured, "differ, by 0.2 at most", "50"],
        ["xnnpack", "1", steady, "2.50 ms", "1.50 ms", *measured, "equal, by 0.0004 at most", "50"],
    ]


def test_a_count_is_never_shown_as_a_time(render, make_manifest):
    host = make_manifest().model_dump()["bench"][0]
    count = host | {
        "target": "arm64",
        "device": "QEMU 7.2",
        "latency_ms": None,
        "emulated": True,
        "artifact": "a.tflite",
    }
    counts = [
        count | {"soc": soc, "instructions": {"total": total, "load": total // 4, "dot": dot, "simd": total // 2}}
        for soc, total, dot in (("Cortex-A53", 4_870_000, 0), ("Cortex-A76", 2_540_000, 530_000))
    ]
    page = render(make_manifest(bench=counts), Evidence())
    assert "Latency was not measured." in page.text
    assert [row for row in page.rows if row and row[0] == "a.tflite"] == [
        ["a.tflite", "Cortex-A53 (emulated)", "4,870,000", "simd 50.0 %, load 25.0 %", "not checked"],
        ["a.tflite", "Cortex-A76 (emulated)", "2,540,000", "simd 50.0 %, load 25.0 %, dot 20.9 %", "not checked"],
    ]
    assert "no time: LiteRT 2.3.0 on QEMU 7.2." in page.text


def test_accelerators_and_compressions_are_shown(render, make_manifest):
    values = make_manifest().model_dump(by_alias=True)
    judged = [
        {"name": "GPU", "operators": 65, "taken": 64, "left_out": ["MEAN"], "not_stated": []},
        {"name": "NNAPI", "operators": 65, "taken": 65, "left_out": [], "not_stated": []},
        {"name": "Core ML", "operators": 65, "taken": 0, "left_out": ["ADD", "MEAN"], "not_stated": []},
        {"name": "Neural Engine", "operators": 65, "taken": 0, "left_out": [], "not_stated": ["ADD", "MEAN"]},
    ]
    values["artifacts"][3]["accelerators"] = judged
    pruned = {"kind": "prune", "epochs": 5, "seconds": 61.4, "validation_accuracy": 0.88, "accuracy": 0.884}
    values["student"]["compressions"] = [pruned | {"sparsity": 0.5, "clusters": 1234}]
    page = render(make_manifest(**{name: values[name] for name in ("artifacts", "student")}), Evidence())
    row = ["android/quickstart_int8.tflite", "64 of 65not MEAN", "all 65", "none", "not stated"]
    assert row in page.rows
    assert "5 epochs in 61 s on the stored soft labels: accuracy 88.4 %" in page.text
    assert "50.0 % zeros, at most 1,234 different weights" in page.text
