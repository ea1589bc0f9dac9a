"""The words of `tfkd drift`: alarms name their days, and nothing is left out without a word."""

import datetime
from pathlib import Path

from tests.monitor.bundles import bundle, day, phone, predictions, write_phone
from tfkd.monitor.drifting import DriftRequest, drift
from tfkd.report import drifts

FIRST = datetime.date(2026, 11, 29)


def test_an_alarm_names_its_days_and_how_many_predictions_got_no_label(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "fixture")
    names = [str(FIRST + datetime.timedelta(number)) for number in range(20)]
    days = {name: day(predictions(120, number, sharpness=3.0)[0]) for number, name in enumerate(names)}
    days[names[4]] = day(predictions(120, 29, sharpness=0.3)[0]) | {"rejected": 30}
    path = write_phone(tmp_path / "phone.json", phone(folder, days))
    found = drift(folder, [path], DriftRequest(today=FIRST + datetime.timedelta(30)))
    assert "2026-12-03 differs" in drifts.headline(found)
    caption = drifts.caption(found)
    assert "30 predictions (1.2 %) got no label" in caption
    assert "68 looks at single days with larger p-values are in the JSON alone" in caption
