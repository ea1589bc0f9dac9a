"""Files of rates: what is read, and what is refused with one line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.scale.rates import rates
from tfkd.errors import RequestError
from tfkd.pipeline.scale.rates import networks_of, read_rates, require_same_networks


def content(**changes: Any) -> dict[str, Any]:
    return {"rates": {**rates().model_dump(mode="json", by_alias=True), **changes}}


def test_rates_are_read_from_a_file_with_more_in_it(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({"command": "x", **content()}))
    found = read_rates(tmp_path / "r.json")
    assert found == rates() and found.predicting == 1000 and found.device == "a GPU"
    assert rates(gpu=None).device == "4 cores of a processor"


def test_several_teachers_predict_one_after_the_other() -> None:
    (large,) = rates().teachers
    assert rates(teachers=[large, large]).predicting == pytest.approx(500)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[]", "is no file of rates: it has no member 'rates' with a schema"),
        ('{"rates": 3}', "is no file of rates"),
        ('{"rates": {}}', "is no file of rates"),
        ('{"rates": {"schema": "tfkd-rates-2"}}', "rates of the schema 'tfkd-rates-2', this version reads"),
        ('{"rates": {"schema": "tfkd-rates-1", "schema": "x"}}', "has two values of 'schema'"),
        (json.dumps(content(cores=0)), "rates.cores: Input should be greater than or equal to 1"),
        (json.dumps(content(cores="4")), "rates.cores: Input should be a valid integer"),
        (json.dumps(content(teachers=[])), "rates.teachers: List should have at least 1 item"),
        (json.dumps(content(example_bytes=-1)), "rates.example_bytes: Input should be greater"),
        (json.dumps(content(viewing={"median": 0.0, "min": 1.0, "max": 1.0})), "rates.viewing.median: Input should be"),
        (json.dumps(content(speed=3)), "rates.speed: Extra inputs are not permitted"),
        (json.dumps(content(view_bytes=float("nan"))), "has the number NaN"),
        ("[" * 100_000, "is nested too deeply"),
        (" " * (1 << 20) + "1", "is larger than 1,048,576 bytes"),
    ],
)
def test_what_is_no_file_of_rates(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(RequestError) as error:
        read_rates(tmp_path / "r.json")
    assert message in str(error.value) and str(error.value).startswith(str(tmp_path / "r.json"))
    assert "\n" not in str(error.value)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("gone.json", "cannot be read: No such file"), ("pipe", "pipe or device"), ("", "folder")):
        with pytest.raises(RequestError, match=message):
            read_rates(tmp_path / name)


def test_rates_of_other_networks_are_refused() -> None:
    same = networks_of(["large"], "small", "224 x 224 x 3", 1000)
    require_same_networks("r.json", rates(), same)
    for other in (
        networks_of(["larger"], "small", "224 x 224 x 3", 1000),
        networks_of(["large"], "smaller", "224 x 224 x 3", 1000),
        networks_of(["large"], "small", "96 x 96 x 3", 1000),
        networks_of(["large"], "small", "224 x 224 x 3", 1),
    ):
        with pytest.raises(RequestError, match=r"r\.json has the rates of large teaching small on 224 x 224 x 3"):
            require_same_networks("r.json", rates(), other)
