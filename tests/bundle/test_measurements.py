"""What bundles keep of benchmarks: one file each, nothing lost, outside of the seal."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmark.conftest import counted, ended, result
from tfkd.bundle import measurements, publishing, results
from tfkd.bundle.layout import MEASUREMENTS
from tfkd.bundle.manifest import read_manifest
from tfkd.bundle.seal import seal
from tfkd.bundle.verification import verify
from tfkd.cli import execute
from tfkd.errors import RequestError
from tfkd.files import content_digest
from tfkd.report import devices

QUICK = ["--runs", "4", "--warmup", "1", "--processes", "2", "--threads", "1"]


def of_bundle(folder, name="android/light.tflite", **changes):
    (artifact,) = [each for each in read_manifest(folder).artifacts if each.path == name]
    return result(artifact=results.File(path=name, sha256=artifact.sha256), **changes)


def keep(folder, *found, skipped=()):
    return measurements.write(folder, measurements.new_name(found[0].target), results.now(list(found), skipped))


def is_sealed(folder):
    return subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=False).returncode == 0


def command(folder, *more):
    return [sys.executable, "-m", "tfkd.cli", "bench", str(folder), *QUICK, *map(str, more)]


def other_bundle(folder, place):
    """The same bundle with another light.tflite, made elsewhere."""
    copy = place / "made"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(MEASUREMENTS))
    shutil.copy(copy / "android/heavy.tflite", copy / "android/light.tflite")
    manifest = json.loads((copy / "manifest.json").read_text())
    light = next(each for each in manifest["artifacts"] if each["path"] == "android/light.tflite")
    light["sha256"] = content_digest(copy / "android/light.tflite")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    seal(copy)
    return copy


def test_names_are_dated_and_never_the_same():
    names = {measurements.new_name("arm64") for _ in range(100)}
    assert len(names) == 100 and all(name.endswith(".json") and "Z-arm64-" in name for name in names)


def test_a_measurement_outlives_the_next_publishing(shipped, tmp_path):
    kept = keep(shipped, of_bundle(shipped), of_bundle(shipped, "android/heavy.tflite"))
    another = other_bundle(shipped, tmp_path)
    publishing.publish(another, shipped, lambda _: None)
    devices.rewrite(shipped)

    (record,) = measurements.read(shipped)
    assert record.name == kept.name
    light, heavy = record.content.results
    assert light.superseded and heavy.superseded is None
    devices.rewrite(shipped)
    (again,) = measurements.read(shipped)
    assert again == record, "the mark keeps its date"
    assert is_sealed(shipped)


def test_a_file_that_comes_back_is_not_superseded_any_more(shipped, tmp_path):
    before = tmp_path / "before"
    shutil.copytree(shipped, before)
    keep(shipped, of_bundle(shipped))
    publishing.publish(other_bundle(shipped, tmp_path), shipped, lambda _: None)
    devices.rewrite(shipped)
    publishing.publish(before, shipped, lambda _: None)
    devices.rewrite(shipped)
    (record,) = measurements.read(shipped)
    assert record.content.results[0].superseded is None


def test_a_result_of_a_file_that_was_replaced_while_it_was_measured_is_superseded(shipped, tmp_path):
    measured = of_bundle(shipped)
    publishing.publish(other_bundle(shipped, tmp_path), shipped, lambda _: None)
    keep(shipped, measured)
    (record,) = measurements.read(shipped)
    assert record.content.results[0].superseded


def test_measurements_are_sorted_by_their_time_and_a_damaged_one_is_named(shipped):
    folder = shipped / MEASUREMENTS
    folder.mkdir()
    for name, created in (("a.json", "2026-02-01T00:00:00+00:00"), ("b.json", "2026-01-01T00:00:00+00:00")):
        results.write_all(folder / name, results.Results(created=created, results=[of_bundle(shipped)]))
    (folder / "c.json").write_text("{damaged")
    damaged, first, second = measurements.read(shipped)
    assert [first.name, second.name, damaged.name] == ["b.json", "a.json", "c.json"]
    assert damaged.content is None and "tfkd-bench-1" in damaged.fault
    devices.rewrite(shipped)
    assert (folder / "c.json").read_text() == "{damaged", "kept as it is"
    assert "c.json" in (folder / "index.html").read_text()


def test_a_folder_that_cannot_be_written_is_reported_before_measuring(shipped):
    (shipped / MEASUREMENTS).write_text("")
    with pytest.raises(RequestError, match="--no-record"):
        measurements.require_writable(shipped)


def test_nothing_is_written_through_a_link(shipped, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "index.html").write_text("precious")
    (shipped / "measurements").symlink_to(victim)
    for write in (
        lambda: devices.rewrite(shipped),
        lambda: measurements.write(shipped, "a.json", results.now([])),
        lambda: measurements.require_writable(shipped),
    ):
        with pytest.raises(RequestError, match="measurements is a link"):
            write()
    assert [(path.name, path.read_text()) for path in victim.iterdir()] == [("index.html", "precious")]


def test_verify_knows_what_is_outside_of_the_seal(shipped):
    keep(shipped, of_bundle(shipped))
    devices.rewrite(shipped)
    assert checksums(shipped).passed and "measurements/ is outside of the seal" in checksums(shipped).found
    for name in ("run.sh", "x.tflite", "other.html", "deeper/a.json"):
        stranger = shipped / MEASUREMENTS / name
        stranger.parent.mkdir(exist_ok=True)
        stranger.write_text("")
        assert not checksums(shipped).passed and name in checksums(shipped).found
        stranger.unlink()


def checksums(folder):
    return next(check for check in verify(folder) if check.name == "checksums")


@pytest.mark.slow
def test_six_benchmarks_at_once_lose_nothing_while_the_bundle_is_published_again(shipped, tmp_path):
    same = tmp_path / "same"
    shutil.copytree(shipped, same)
    running = [subprocess.Popen(command(shipped, "--only", "*light*"), stdout=subprocess.DEVNULL) for _ in range(6)]
    published = 0
    while any(each.poll() is None for each in running):
        publishing.publish(same, shipped, lambda _: None)
        published += 1
    assert [each.wait() for each in running] == [0] * 6 and published > 6
    devices.rewrite(shipped)
    records = measurements.read(shipped)
    assert len(records) == 6 and all(record.content.results[0].superseded is None for record in records)
    assert is_sealed(shipped)
    assert sorted(path.name for path in (shipped / MEASUREMENTS).iterdir()) == sorted(
        [*(record.name for record in records), "index.html", "index.md"]
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_on_this_machine(shipped, tmp_path, number):
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "PYTHONUNBUFFERED": "1"}
    slow = [*command(shipped), "--runs", "100000", "--processes", "1"]
    child = subprocess.Popen(slow, env=environment, stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if "round" in line:
            break
    (runner,) = children(child.pid)
    workers = children(runner)
    assert workers
    child.send_signal(number)
    assert child.wait(30) == 128 + number
    assert all(map(ended, (runner, *workers)))
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (shipped / MEASUREMENTS).exists() and is_sealed(shipped)


def children(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_pages_show_instructions_and_latencies_of_all_devices(shipped):
    phone = results.Device(
        maker="Fairphone", model="5", soc="QCM6490", os="Android 14, API 34", build="FP5.UT20", abi="arm64-v8a",
        before=results.Condition(celsius=31.5, battery=0.8, charging=False), after=results.Condition(celsius=35),
    )  # fmt: skip
    qemu = results.Device(model="QEMU 7.2", os="Debian", abi="aarch64")
    skipped = [results.Skipped(path="android/light.tflite", delegate="npu", reason="It is <of> floats.")]
    keep(
        shipped,
        of_bundle(shipped, target="android", device=phone, rung="device", golden=golden(), dropped=2),
        skipped=skipped,
    )
    emulated = [
        counted(total, artifact=of_bundle(shipped).artifact, device=qemu.model_copy(update={"soc": soc}))
        for soc, total in (("Cortex-A53", 4_870_000), ("Cortex-A76", 2_540_000))
    ]
    keep(shipped, *emulated)
    page = devices.rewrite(shipped)
    for text in (page.read_text(), page.with_name("index.md").read_text()):
        for expected in ("android: Fairphone 5, QCM6490", "FP5.UT20", "31.5 °C before, 35 °C after", "battery 80 %",
                       "not charging", "1.10 ms", "4,870,000 instructions", "2,540,000 instructions",
                       "It is &lt;of&gt; floats."):  # fmt: skip
            assert expected in text, expected
    assert "2 dropped" in page.read_text()


def golden():
    return results.GoldenCheck(checked=1, max_abs_error=0, tolerance=0.1, top1_equal=1, passed=True, family="xnnpack")


def test_the_newest_measurement_of_a_file_on_a_device_is_shown(shipped):
    folder = shipped / MEASUREMENTS
    for name, created, samples in (
        ("a", "2026-01-01T00:00:00+00:00", [7.0]),
        ("b", "2026-01-02T00:00:00+00:00", [8.0]),
    ):
        content = results.Results(created=created, results=[of_bundle(shipped, samples=samples)])
        results.write_all(folder / f"{name}.json", content)
    (place,) = devices.read(shipped).places
    (row,) = place.rows
    assert (row.source, row.entry.latency_ms.median, place.older) == ("b.json", 8.0, 1)


def test_hostile_text_of_a_device_is_text_on_the_pages(shipped):
    device = results.Device(model="<script>alert(1)</script> | x\u202e\x1b[31m", os="[a](javascript:b)", abi="a")
    keep(shipped, of_bundle(shipped, device=device))
    page = devices.rewrite(shipped)
    assert "<script>" not in page.read_text() and "<script>" not in page.with_name("index.md").read_text()
    assert "[a](javascript" not in page.with_name("index.md").read_text()
    assert not {"\u202e", "\x1b"} & set(page.read_text() + page.with_name("index.md").read_text())


def test_the_report_of_a_bundle_shows_its_devices_and_what_is_superseded(shipped, capsys):
    other = results.File(path="android/light.tflite", sha256="0" * 64)
    board = results.Device(model="Board 1", soc="Chip 7", os="Linux", abi="aarch64")
    keep(shipped, of_bundle(shipped), result(target="ssh", artifact=other, device=board))
    assert execute(["report", str(shipped)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "host: Fast 9" in shown and "index.html" in shown
    page = (shipped / MEASUREMENTS / "index.html").read_text()
    current, superseded = page.split("<h2>Superseded</h2>")
    assert "Board 1" not in current and "ssh: Board 1, Chip 7" in superseded
