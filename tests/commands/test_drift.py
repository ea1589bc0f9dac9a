"""The command `tfkd drift` and `tfkd.drift`: what they print and write, and exit codes."""

import json
from pathlib import Path

import pytest

import tfkd
from tests.monitor.bundles import DAY, bundle, day, phone, predictions, write_phone
from tests.report import links
from tfkd.cli import execute
from tfkd.monitor.records import Drift


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("bundles") / "fixture")


def counts(folder: Path, place: Path, sharpness: float) -> Path:
    days = {f"2026-11-{29 + number}": day(predictions(120, 5 + number, sharpness=sharpness)[0]) for number in (0, 1)}
    return write_phone(place / "phone.json", phone(folder, days))


def test_no_alarm_ends_with_0_and_an_alarm_with_1(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = counts(folder, tmp_path, 3.0)
    assert execute(["drift", str(folder), str(usual)]) == 0
    text = capsys.readouterr().out
    assert "no alarm in 12 looks at 240 predictions" in text and "not estimated" not in text
    places = {"--out": tmp_path / "drift.json", "--html": tmp_path / "drift.html"}
    written = [part for flag, path in places.items() for part in (flag, str(path))]
    assert execute(["drift", str(folder), str(counts(folder, tmp_path, 1.5)), *written]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "alarm: top-1 class" in text or "alarm: confidence" in text
    assert "one phone's" in text and "accuracy by confidence" in text
    found = Drift.model_validate_json(places["--out"].read_bytes())
    assert found.alarm and json.loads(places["--out"].read_text())["schema"] == "tfkd-drift-1"
    page = places["--html"].read_text()
    assert page.count("<svg") == 4 and "✗ alarm" in page and not links.files(places["--html"])


def test_too_few_predictions_end_with_0(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_phone(tmp_path / "phone.json", phone(folder, {DAY: day(predictions(3, 1)[0])}))
    assert execute(["drift", str(folder), str(path), "--html", str(tmp_path / "page.html")]) == 0
    assert "too few predictions to test: 3; at least 50 are needed" in " ".join(capsys.readouterr().out.split())
    assert "– too few" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Nothing to compare: name files of counts"),
        (["gone.json"], "gone.json cannot be read"),
        (["gone.json", "--since", "yesterday"], "--since 'yesterday' is no day"),
        (["gone.json", "--alarm-rate", "2"], "--alarm-rate 2 is not between"),
        (["gone.json", "--out", "."], "cannot be written"),
        (["gone.json", "--teacher", "t.keras"], "--teacher t.keras predicts the examples of --samples"),
    ],
)
def test_a_wrong_request_is_one_line(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["drift", str(folder), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_counts_are_never_overwritten_and_two_files_are_not_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = counts(folder, tmp_path, 3.0)
    before, page = phone.read_bytes(), str(tmp_path / "page")
    for place, flags in (
        (phone, ["--out", str(phone)]),
        (tmp_path, ["--html", str(phone)]),
        (phone, ["--out", page, "--html", page]),
        (phone, ["--html", "/dev/full"]),
    ):
        assert execute(["drift", str(folder), str(place), *flags]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert phone.read_bytes() == before and not Path(page).exists() and Path("/dev/full").is_char_device()


def test_from_python(folder: Path, tmp_path: Path) -> None:
    found = tfkd.drift(folder, counts(folder, tmp_path, 3.0), until="2026-11-29")
    assert not found.alarm and found.drift.predictions == 120
    shown = list(found.tables())
    assert [row["feature"] for row in shown[0]] == ["top1", "confidence", "entropy", "margin"]
    assert shown[2][0]["what"] == "mean confidence"
    found.write_page(tmp_path / "page.html")
    with pytest.raises(tfkd.RequestError, match=r"`since` 'x' is no day"):
        tfkd.drift(folder, [tmp_path / "phone.json"], since="x")
    with pytest.raises(tfkd.RequestError, match="counts = 5 must be"):
        tfkd.drift(folder, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["counts", "monitor", "drift"])
def test_the_schemas_are_published(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["schema", name]) == 0
    assert f"tfkd-{name}-1" in capsys.readouterr().out
