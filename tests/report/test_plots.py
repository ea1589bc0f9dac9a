"""The place of each text is read from the SVG, and its size measured in the font that matplotlib takes."""

import html
import itertools
import re

import pytest

from tfkd.bundle.evidence import EvidencePoint
from tfkd.report.plots import Curve, Distribution, Dot, distributions, learning_curves, scatter

_TEXT = re.compile(
    r'<text style="font-size: ([\d.]+)px;(?: text-anchor: (\w+);)?[^"]*" '
    r'(?:x="[^"]*" y="[^"]*" )?transform="(?:translate\(|rotate\(-0 )([-\d.]+) ([-\d.]+)\)">(.*?)</text>'
)
_BEFORE_ANCHOR = {"start": 0.0, "middle": 0.5, "end": 1.0}
_ACCURACIES = (0.9, 0.87, 0.85, 0.85, 0.85, 0.85)
_LONG = "of my_package.models.tiny:build_it with width 0.5 at 64 px"
_NAMES = ("teacher fp32", "control fp32", "student fp32", "student fp16", "student int8", "student dynamic")


def boxes(svg):
    """Returns left, top, right and bottom of each text, by the text."""
    from matplotlib.textpath import TextPath

    found = []
    for size, anchor, x, y, written in _TEXT.findall(svg):
        text = html.unescape(written)
        extents = TextPath((0, 0), text, size=float(size), usetex=False).get_extents()
        left = float(x) - extents.width * _BEFORE_ANCHOR[anchor or "start"]
        found.append((text, (left, float(y) - extents.y1, left + extents.width, float(y) - extents.y0)))
    assert len(found) == svg.count("<text")
    return found


def outside(svg):
    """Returns the texts that are not entirely in the picture."""
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    return [
        text
        for text, (left, top, right, bottom) in boxes(svg)
        if left < 0 or top < 0 or right > width or bottom > height
    ]


def dots(largest, smallest, accuracies=_ACCURACIES, names=_NAMES):
    costs = [largest, *(smallest * (1 + 0.1 * number) for number in range(len(names) - 1, 0, -1))]
    return [
        Dot(name, name.split()[0], cost, accuracy, 0.02)
        for name, cost, accuracy in zip(names, costs, accuracies, strict=True)
    ]


@pytest.mark.parametrize(
    ("largest", "smallest", "accuracies", "names"),
    [
        (90.0, 0.386, _ACCURACIES, _NAMES),
        (90.0, 1e-6, (0.999, *[0.1] * 5), _NAMES),
        (1e8, 0.5, (1.0,) * 6, _NAMES),
        (2.0, 1.9, _ACCURACIES, [f"{name} {_LONG}" for name in _NAMES]),
    ],
    ids=["texts", "tiny files", "huge teacher", "long names"],
)
def test_labels_of_dots_stay_in_the_picture(largest, smallest, accuracies, names):
    svg = scatter(dots(largest, smallest, accuracies, names), "file size, MB")
    assert outside(svg) == []


def test_ticks_do_not_touch_over_many_decades():
    ticks = [box for text, box in boxes(scatter(dots(1e4, 1e-3), "x")) if re.fullmatch(r"[\de.+-]+", text)]
    assert len(ticks) > 8
    for one, other in itertools.combinations(ticks, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_labels_of_curves_and_distributions_stay_in_the_picture():
    curves = [
        Curve(f"hidden states {part}", "student", [[EvidencePoint(epoch=1, loss=0.5 + part / 1e4)]])
        for part in range(7)
    ]
    assert outside(learning_curves(curves, "loss")) == []
    extreme = [Distribution("student", [0, 9], 1.0), Distribution("control", [9, 0], -1.0)]
    assert outside(distributions(extreme, "rank correlation")) == []
