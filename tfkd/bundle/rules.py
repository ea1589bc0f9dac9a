"""What evidence.json holds of a student that consists of trees: its rules, which the report writes out and draws."""

from collections.abc import Iterator, Sequence

from pydantic import Field, model_validator

from tfkd.models.tree_arrays import LARGEST, Trees
from tfkd.records import Count, Entry, Fraction, Number
from tfkd.signature import Column

LEVELS_OF_ONE = 16  # as many as a tree can have
LEVELS_OF_FIRST = 4  # of the first tree of a forest


class RuleNode(Entry):
    """A question, or the prediction at a leaf. A row for which the answer is yes goes on at the second node below."""

    depth: Count
    question: str = Field("", description="such as age > 30.5, or job is nurse; empty for a leaf, and below the levels")
    label: str = Field(description="the most probable class of the rows here")
    probability: Fraction = Field(description="of this class")
    rows: Fraction = Field(description="of the rows that the tree was fitted to")


class Rules(Entry):
    """The rules of a tree, or of the first tree of a forest."""

    trees: Number
    leaves: Number = Field(description="of all trees")
    depth: Count = Field(description="questions on the longest way to a leaf")
    nodes: list[RuleNode] = Field(
        min_length=1, max_length=1 << 17, description="of the first tree, each before the nodes below it, no before yes"
    )
    columns: dict[str, Fraction] = Field(
        description="part of the questions of all trees that compares each column, weighted by the rows that are asked"
    )

    @model_validator(mode="after")
    def _is_a_tree(self) -> "Rules":
        expected = [0]  # depths of the nodes that must follow, the next one last
        for node in self.nodes:
            if not expected or node.depth != expected.pop():
                raise ValueError("the nodes are no tree: each question has two nodes below it, and a leaf has none")
            expected += [node.depth + 1] * (2 if node.question else 0)
        if expected:
            raise ValueError("the nodes are no tree: a question has fewer than two nodes below it")
        return self


def rules_of(trees: Trees, columns: Sequence[Column], classes: Sequence[str]) -> Rules:
    """Returns the rules of trees.

    Args:
        trees: the student's.
        columns: of its rows.
        classes: names, in order.
    """
    levels = LEVELS_OF_ONE if len(trees.roots) == 1 else LEVELS_OF_FIRST
    asked = [0.0] * len(columns)
    for column, rows in zip(trees.column.tolist(), trees.support[: trees.comparisons].tolist(), strict=True):
        asked[column] += rows
    parts = {column.name: rows / sum(asked) for column, rows in zip(columns, asked, strict=True) if rows}
    return Rules(
        trees=len(trees.roots),
        leaves=len(trees.values),
        depth=trees.depth,
        nodes=list(_nodes(trees, columns, classes, levels)),
        columns=dict(sorted(parts.items(), key=lambda item: -item[1])),
    )


def _nodes(trees: Trees, columns: Sequence[Column], classes: Sequence[str], levels: int) -> Iterator[RuleNode]:
    """Yields the nodes of the first tree; what is below the levels is left out."""
    root = int(trees.roots[0])
    means = _means(trees, root)
    waiting = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        is_asked = node < trees.comparisons and depth < levels
        mean = means[node]
        best = max(range(len(classes)), key=mean.__getitem__)
        yield RuleNode(
            depth=depth,
            question=_question(trees, node, columns) if is_asked else "",
            label=classes[best],
            probability=min(1.0, mean[best]),
            rows=min(1.0, float(trees.support[node] / trees.support[root])),
        )
        if is_asked:
            no, yes = trees.children[node].tolist()
            waiting += [(yes, depth + 1), (no, depth + 1)]


def _means(trees: Trees, root: int) -> dict[int, list[float]]:
    """Returns the mean probabilities of the rows at each node of a tree."""
    order, means = [root], dict[int, list[float]]()
    for node in order:
        if node < trees.comparisons:
            order += trees.children[node].tolist()
    for node in reversed(order):
        if node >= trees.comparisons:
            means[node] = trees.values[node - trees.comparisons].tolist()
            continue
        weights = [(float(trees.support[child]), means[child]) for child in trees.children[node].tolist()]
        total = sum(weight for weight, _ in weights)
        means[node] = [sum(w * mean[k] for w, mean in weights) / total for k in range(trees.values.shape[1])]
    return means


def _question(trees: Trees, node: int, columns: Sequence[Column]) -> str:
    column, lower, upper = columns[trees.column[node]], float(trees.lower[node]), float(trees.upper[node])
    if upper < LARGEST:
        return f"{column.name} is {column.categories[round((lower + upper) / 2)]}"
    return f"{column.name} > {lower:.6g}"
