"""The rules of a student that consists of trees, as text and as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tfkd.bundle.rules import RuleNode, Rules
from tfkd.errors import counted, legible
from tfkd.report import units

LEVELS_DRAWN = 4
_COLUMNS_NAMED = 10
_WIDTH, _HEIGHT, _GAP = 128, 58, 40  # of a box, and between two levels
_LETTERS = 19  # of a line in a box


def says(rules: Rules) -> str:
    """Returns what the student consists of, one sentence."""
    columns = ", ".join(f"{name} {100 * part:.0f} %" for name, part in list(rules.columns.items())[:_COLUMNS_NAMED])
    trees = "One tree" if rules.trees == 1 else f"The mean of {rules.trees} trees"
    questions = f"at most {counted(rules.depth, 'question')} per row"
    asked = f" Columns by how often they are asked for: {columns}." if columns else ""
    first = "" if rules.trees == 1 else " Below is the first tree, down to its fourth question."
    return f"{trees}, {rules.leaves:,} leaves, {questions}.{asked}{first}"


def text(rules: Rules) -> str:
    """Returns the rules with a line per question and leaf, indented by their depth."""
    answers, lines = list[str](), list[str]()
    for node in rules.nodes:
        del answers[node.depth :]
        lines.append("    " * node.depth + _line(node, answers[-1] if answers else ""))
        if answers and node.depth:
            answers[-1] = "yes"
        if node.question:
            answers.append("no")
    return "\n".join(map(legible, lines)) + "\n"


def _line(node: RuleNode, answer: str) -> str:
    before = f"{answer}: " if answer else ""
    found = f"{_said(node)}; {_part(node.rows)} of the rows"
    return f"{before}{node.question}?  ({found})" if node.question else f"{before}{found}"


def _said(node: RuleNode) -> str:
    return f"{node.label}: {100 * node.probability:.0f} %"


@dataclass
class _Box:
    node: RuleNode
    place: float = 0.0
    below: "tuple[_Box, _Box] | None" = None


def drawing(rules: Rules) -> str:
    """Returns the first levels as SVG, in the colour of the text around it: no to the left, yes to the right."""
    root, _ = _boxes(rules.nodes, 0)
    leaves = _placed(root, 0)
    depth = _depth(root)
    width, height = leaves * _WIDTH, (depth + 1) * _HEIGHT + depth * _GAP
    parts = "".join(_drawn(root))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11" fill="currentColor" stroke="none" text-anchor="middle" role="img" '
        f'aria-label="The first questions of the tree">{parts}</svg>'
    )


def _boxes(nodes: Sequence[RuleNode], start: int) -> tuple[_Box, int]:
    """Returns the box of a node with those below it, down to the last level drawn, and the number of the node after."""
    node = nodes[start]
    if not node.question:
        return _Box(node), start + 1
    no, middle = _boxes(nodes, start + 1)
    yes, end = _boxes(nodes, middle)
    return _Box(node, below=(no, yes) if node.depth < LEVELS_DRAWN - 1 else None), end


def _placed(box: _Box, leaves: int) -> int:
    """Places a box over those below it; returns the number of boxes at the lower edge so far."""
    if box.below is None:
        box.place = leaves + 0.5
        return leaves + 1
    for each in box.below:
        leaves = _placed(each, leaves)
    box.place = (box.below[0].place + box.below[1].place) / 2
    return leaves


def _depth(box: _Box) -> int:
    return box.node.depth if box.below is None else max(map(_depth, box.below))


def _drawn(box: _Box) -> list[str]:
    node, x, y = box.node, box.place * _WIDTH, box.node.depth * (_HEIGHT + _GAP)
    lines = [*([f"{node.question}?"] if node.question else []), _said(node), f"{_part(node.rows)} of the rows"]
    half = _WIDTH / 2 - 4
    found = [
        f'<rect x="{x - half:g}" y="{y + 1:g}" width="{2 * half:g}" height="{_HEIGHT - 2}" rx="5" fill="none" '
        f'stroke="currentColor" stroke-opacity="{0.9 if node.question else 0.35}"/>'
    ]
    first = y + _HEIGHT / 2 - 7 * (len(lines) - 1) + 4
    found += [
        f'<text x="{x:g}" y="{first + 14 * number:g}">{escape(_cut(legible(line)))}</text>'
        for number, line in enumerate(lines)
    ]
    for answer, below in zip(("no", "yes"), box.below or (), strict=False):
        end = below.place * _WIDTH
        found.append(
            f'<line x1="{x:g}" y1="{y + _HEIGHT:g}" x2="{end:g}" y2="{y + _HEIGHT + _GAP:g}" stroke="currentColor" '
            f'stroke-opacity="0.5"/><text x="{(x + end) / 2:g}" y="{y + _HEIGHT + _GAP / 2 + 4:g}" '
            f'font-weight="bold">{answer}</text>'
        )
        found += _drawn(below)
    return found


def _part(fraction: float) -> str:
    return units.percent(fraction) if fraction >= 0.001 else "<0.1 %"


def _cut(line: str) -> str:
    return line if len(line) <= _LETTERS else f"{line[: _LETTERS - 1]}…"
