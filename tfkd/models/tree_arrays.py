"""Decision trees and forests as arrays.

A comparison sends a row to the right where `lower < value <= upper` for the value of its column, and else to the left.
A column of numbers has `upper` = the largest float32, so that this is `value > lower`; a category k has the interval
from k − ½ to k + ½, so that the question is whether the row is of this category. All bounds are float32 numbers, which
every file compares exactly. Reference: Breiman et al. 1984, "Classification and Regression Trees".
"""

from dataclasses import dataclass

import numpy as np

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees whose mean is a classifier. Nodes are numbered over all trees: first the comparisons, then the leaves.

    Attributes:
        column: int32 [comparisons], the column that each compares.
        lower: float32 [comparisons].
        upper: float32 [comparisons].
        children: int32 [comparisons, 2], the nodes to the left and to the right.
        values: float32 [leaves, classes], probabilities.
        roots: int32 [trees].
        support: float32 [comparisons + leaves], training rows that reach each node; views of one row count apart.
    """

    column: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    children: np.ndarray
    values: np.ndarray
    roots: np.ndarray
    support: np.ndarray

    @property
    def comparisons(self) -> int:
        """Number of comparisons; this is the number of the first leaf."""
        return len(self.column)

    def right(self, row: np.ndarray, node: int) -> bool:
        """Returns whether a comparison sends a row, float32 [columns], to the right."""
        return bool(self.lower[node] < row[self.column[node]] <= self.upper[node])

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Returns the mean of the leaves that rows (float32 [n, columns]) reach, float32 [n, classes]."""
        found = np.zeros((len(rows), self.values.shape[1]), np.float64)
        for number, row in enumerate(rows):
            for root in self.roots.tolist():
                node = root
                while node < self.comparisons:
                    node = int(self.children[node, int(self.right(row, node))])
                found[number] += self.values[node - self.comparisons]
        return (found / len(self.roots)).astype(np.float32)

    @property
    def depth(self) -> int:
        """Comparisons on the longest way to a leaf."""
        depth, nodes = 0, self.roots
        while (nodes := nodes[nodes < self.comparisons]).size:
            nodes, depth = self.children[nodes].ravel(), depth + 1
        return depth


def leaf(classes: int) -> Trees:
    """Returns a tree without comparisons that predicts every class with the same probability."""
    nothing, values = np.zeros(0, np.float32), np.full((1, classes), 1 / classes, np.float32)
    whole = np.zeros(0, np.int32)
    return Trees(
        whole, nothing, nothing, np.zeros((0, 2), np.int32), values, np.zeros(1, np.int32), np.ones(1, np.float32)
    )
