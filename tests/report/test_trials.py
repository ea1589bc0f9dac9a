"""The table and the plot of a sweep."""

import io
import re
import warnings
from xml.etree import ElementTree

import pytest
from rich.console import Console

from tfkd.report import trials
from tfkd.training.trials import Sweep, Trial

LONG = "distill.training.learning_rate=0.002 distill.losses=[{" + ",".join(f'"field{n}":{n}' for n in range(20)) + "}]"


def trial(name: str, *accuracies: float) -> Trial:
    controls = [0.75] * len(accuracies)
    return Trial(name, [1, 2][: len(accuracies)], list(accuracies), controls, list(accuracies), controls, [60.0], 0.04)


@pytest.fixture
def sweep() -> Sweep:
    return Sweep(0.9, [trial("views=2", 0.76), trial("views=8", 0.80, 0.84), trial(LONG, 0.70)])


def test_the_table_ranks_by_validation_and_shows_gains(sweep: Sweep) -> None:
    stream = io.StringIO()
    Console(file=stream, width=140).print(trials.table(sweep))
    rows = [line for line in stream.getvalue().splitlines() if "%" in line and "│" in line]
    assert [row.split()[1] for row in rows] == ["views=8", "views=2", "distill.training.learning_rate=0.002"]
    assert "82.0 % ± 2.8" in rows[0] and "+7.0 points ± 2.0" in rows[0] and "0.0400" in rows[0]
    assert "−5.0" in rows[2]


def test_the_plot_has_room_for_long_names(sweep: Sweep) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        drawn = trials.plot(sweep)
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg")
    assert drawn.count("<!-- views=") == 2


def test_the_rows_of_the_plot_keep_more_than_half_a_row_to_its_edges(sweep: Sweep) -> None:
    drawn = trials.plot(sweep)
    box = re.search(r'<g id="patch_2">\s*<path d="([^"]+)"', drawn)
    rows = [float(y) for y in re.findall(r'<g id="ytick_\d+">.*?<use [^>]*y="([\d.]+)"', drawn, re.DOTALL)]
    assert box is not None and len(rows) == 3
    edges = [float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", box[1])]
    assert max(edges) - rows[0] == pytest.approx(0.6 * (rows[0] - rows[1]), abs=0.01)
    assert rows[2] - min(edges) == pytest.approx(0.6 * (rows[0] - rows[1]), abs=0.01)


def test_the_plot_ranks_by_validation_as_the_table_does() -> None:
    better_on_test = Trial("views=2", [1], [0.9], [], [0.7], [], [60.0], None)
    drawn = trials.plot(Sweep(0.9, [trial("views=8", 0.80), better_on_test]))
    assert drawn.index("<!-- views=2") < drawn.index("<!-- views=8"), "from the bottom to the top"
