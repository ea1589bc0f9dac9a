"""Mutants whose operator and place are drawn from a seed, over the syntax tree.

The draw ranks every possible mutant by a hash of the seed and of the mutant itself, so that a change in one module
does not change the mutants drawn in others.
"""

import ast
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.mutants.mutant import DRAWN, Mutant

_FLIPPED = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_SHIFTED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_SWAPPED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}


def _compared(node: ast.AST, changed: dict[type, type]) -> str | None:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in changed:
        return _text(ast.Compare(node.left, [changed[type(node.ops[0])]()], node.comparators))
    return None


def _arithmetic(node: ast.AST) -> str | None:
    if isinstance(node, ast.BinOp) and type(node.op) in _SWAPPED:
        return _text(ast.BinOp(node.left, _SWAPPED[type(node.op)](), node.right))
    return None


def _connective(node: ast.AST) -> str | None:
    if isinstance(node, ast.BoolOp):
        return _text(ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
    return None


def _without_not(node: ast.AST) -> str | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _text(node.operand)
    return None


def _number(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return str(node.value + 1)
    return None


def _truth(node: ast.AST) -> str | None:
    return str(not node.value) if isinstance(node, ast.Constant) and isinstance(node.value, bool) else None


def _returned(node: ast.AST) -> str | None:
    if isinstance(node, ast.Return) and node.value is not None:
        return None if isinstance(node.value, ast.Constant) and node.value.value is None else "return None"
    return None


def _arguments(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call) or len(node.args) < 2 or any(isinstance(each, ast.Starred) for each in node.args):
        return None
    first, second, *others = node.args
    swapped = ast.unparse(ast.Call(node.func, [second, first, *others], node.keywords))
    return None if swapped == ast.unparse(node) else swapped


def _left_out(node: ast.AST) -> str | None:
    return "pass" if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None


OPERATORS: dict[str, Callable[[ast.AST], str | None]] = {
    "comparison": lambda node: _compared(node, _FLIPPED),
    "boundary": lambda node: _compared(node, _SHIFTED),
    "arithmetic": _arithmetic,
    "connective": _connective,
    "not": _without_not,
    "number": _number,
    "truth": _truth,
    "return": _returned,
    "arguments": _arguments,
    "statement": _left_out,
}


def draw(root: Path, seed: int, count: int, left_out: set[tuple[str, str, str]], package: str = "tfkd") -> list[Mutant]:
    """Returns mutants of a package, in an order drawn from the seed, the operators in turn.

    Args:
        root: root of the project.
        seed: seed of the draw.
        count: number of mutants; fewer if there are no more.
        left_out: keys of mutants to exclude.
        package: folder of the package.
    """
    ranked: dict[str, list[tuple[bytes, Mutant]]] = defaultdict(list)
    for path in sorted((root / package).rglob("*.py")):
        file = path.relative_to(root).as_posix()
        for operator, mutant in _possible(file, path.read_text(encoding="utf-8")):
            if mutant.key not in left_out:
                place = "\0".join((str(seed), operator, *mutant.key)).encode()
                ranked[operator].append((hashlib.sha256(place).digest(), mutant))
    turns = [[mutant for _, mutant in sorted(ranked[name], key=lambda each: each[0])] for name in OPERATORS]
    in_turn = [turn[place] for place in range(max(map(len, turns), default=0)) for turn in turns if place < len(turn)]
    return in_turn[:count]


def _possible(file: str, source: str) -> Iterator[tuple[str, Mutant]]:
    """Yields every mutant of a file once, with the name of its operator."""
    begins = [0]
    for line in source.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))
    lines, seen = source.splitlines(), set()
    for node in _code(ast.parse(source)):
        for operator, change in OPERATORS.items():
            text = change(node)
            if text is None:
                continue
            start = begins[node.lineno - 1] + _characters(lines[node.lineno - 1], node.col_offset)
            end = begins[node.end_lineno - 1] + _characters(lines[node.end_lineno - 1], node.end_col_offset)
            first, last = begins[node.lineno - 1], begins[node.end_lineno - 1] + len(lines[node.end_lineno - 1])
            replaced = source[first:start] + text + source[end:last]
            mutant = Mutant(DRAWN, file, source[first:last], replaced, offset=first)
            if (mutant.key, operator) not in seen:
                seen.add((mutant.key, operator))
                yield operator, mutant


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the nodes that affect behaviour: no annotations, decorators, messages or parts of texts."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr | ast.Raise | ast.Assert):
                if hasattr(child, "lineno"):
                    yield child
                yield from _code(child)


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(ast.fix_missing_locations(node))})"


def _characters(line: str, offset: int) -> int:
    """Converts an offset in bytes of UTF-8, as in the syntax tree, to one in characters."""
    return len(line.encode()[:offset].decode())
