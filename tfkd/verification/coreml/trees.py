"""Evaluates a Core ML tree ensemble (TreeEnsemble.proto); nothing in it is trusted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.quiet import native_logs_silenced
from tfkd.verification import NotVerifiedError, VerifyError
from tfkd.verification.coreml.specification import TREES

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    from coremltools import proto

_NODES = 5_000_000  # most of an ensemble
_COLUMNS = 1 << 16
_FLOAT32 = proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
_KINDS = proto.TreeEnsemble_pb2.TreeEnsembleParameters.TreeNode
_COMPARISONS = {
    _KINDS.BranchOnValueLessThanEqual: np.less_equal,
    _KINDS.BranchOnValueLessThan: np.less,
    _KINDS.BranchOnValueGreaterThanEqual: np.greater_equal,
    _KINDS.BranchOnValueGreaterThan: np.greater,
    _KINDS.BranchOnValueEqual: np.equal,
    _KINDS.BranchOnValueNotEqual: np.not_equal,
}
_NO_TRANSFORM = proto.TreeEnsemble_pb2.TreeEnsemblePostEvaluationTransform.NoTransform


@dataclass(frozen=True)
class RowInput:
    """The row of a table that a model takes.

    Attributes:
        name: of the input.
        columns: number of values.
    """

    name: str
    columns: int

    dtype = tf.float32
    examples = "rows"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a raw example."""
        return (self.columns,)

    def prepared(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns what the trees read for raw rows, float32 [batch, columns]: the same."""
        return rows


def declared_row(specification: Any, path: Path) -> RowInput:
    """Reads what a model says about its input.

    Raises:
        VerifyError: it does not take one array of float32 numbers.
    """
    inputs = specification.description.input
    shapes = [list(each.type.multiArrayType.shape) for each in inputs]
    is_float = all(each.type.multiArrayType.dataType == _FLOAT32 for each in inputs)
    if not is_float or [len(shape) for shape in shapes] != [1] or not 1 <= shapes[0][0] <= _COLUMNS:
        raise VerifyError(f"{path}: does not take one row of numbers, float32 [columns].")
    return RowInput(inputs[0].name, int(shapes[0][0]))


class TreeModel:
    """A tree ensemble that classifies rows.

    Args:
        specification: as `specification.read` returns it.
        path: of the file.

    Raises:
        NotVerifiedError: its sums are transformed, which is not known here.
        VerifyError: a node is missing, listed twice or is reached twice, or a number is out of its range.
    """

    def __init__(self, specification: Any, path: Path) -> None:
        self._path = path
        classifier = getattr(specification, TREES)
        if classifier.postEvaluationTransform != _NO_TRANSFORM:
            raise NotVerifiedError(path, "a transform of the sums of leaves")
        ensemble = classifier.treeEnsemble
        self._classes, columns = int(ensemble.numPredictionDimensions), declared_row(specification, path).columns
        if not 2 <= self._classes <= _COLUMNS or not 1 <= len(ensemble.nodes) <= _NODES:
            raise VerifyError(f"{path}: has {self._classes:,} classes and {len(ensemble.nodes):,} nodes of trees.")
        if len(ensemble.basePredictionValue) not in (0, self._classes):
            raise VerifyError(
                f"{path}: has {len(ensemble.basePredictionValue)} base values for {self._classes} classes."
            )
        self._base = np.array(ensemble.basePredictionValue or [0.0] * self._classes, np.float64)
        self._nodes = {(node.treeId, node.nodeId): node for node in ensemble.nodes}
        if len(self._nodes) < len(ensemble.nodes):
            raise VerifyError(f"{path}: lists a node of a tree twice.")
        self._roots = list(self._checked(columns))

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the probabilities, float32 [batch, classes], of rows, float32 [batch, columns]."""
        found = tf.numpy_function(self._sums, [rows], tf.float32, stateful=False)
        return tf.ensure_shape(found, [None, self._classes])

    def _sums(self, rows: np.ndarray) -> np.ndarray:
        values, sums = rows.astype(np.float64), np.tile(self._base, (len(rows), 1))
        for tree, root in self._roots:
            waiting = [(root, np.arange(len(rows)))]
            while waiting:
                number, members = waiting.pop()
                node = self._nodes[tree, number]
                if node.nodeBehavior == _KINDS.LeafNode:
                    for entry in node.evaluationInfo:
                        sums[members, entry.evaluationIndex] += entry.evaluationValue
                elif len(members):
                    compare = _COMPARISONS[node.nodeBehavior]
                    true = compare(values[members, node.branchFeatureIndex], node.branchFeatureValue)
                    waiting += [(node.trueChildNodeId, members[true]), (node.falseChildNodeId, members[~true])]
        return sums.astype(np.float32)

    def _checked(self, columns: int) -> Iterator[tuple[int, int]]:
        """Yields the root of each tree; each node but the root is the child of exactly one."""
        children: dict[tuple[int, int], int] = {}
        for (tree, number), node in self._nodes.items():
            if node.nodeBehavior == _KINDS.LeafNode:
                if any(entry.evaluationIndex >= self._classes for entry in node.evaluationInfo):
                    raise self._damaged(tree, number, "adds to a class that does not exist")
                continue
            if node.nodeBehavior not in _COMPARISONS or node.branchFeatureIndex >= columns:
                raise self._damaged(tree, number, "compares a column, or in a way, that does not exist")
            for child in (node.trueChildNodeId, node.falseChildNodeId):
                if (tree, child) not in self._nodes:
                    raise self._damaged(tree, number, "leads to a node that does not exist")
                children[tree, child] = children.get((tree, child), 0) + 1
        roots = [key for key in self._nodes if key not in children]
        trees = {tree for tree, _ in self._nodes}
        is_once = (
            len(roots) == len(trees) == len({tree for tree, _ in roots}) and max(children.values(), default=1) == 1
        )
        if not is_once or self._reached(roots) < len(self._nodes):
            raise VerifyError(f"{self._path}: a tree has not one root from which each node is reached in one way.")
        yield from roots

    def _reached(self, roots: list[tuple[int, int]]) -> int:
        """Returns how many nodes are reached from the roots, where each has one parent."""
        count, waiting = 0, list(roots)
        while waiting:
            tree, number = waiting.pop()
            node, count = self._nodes[tree, number], count + 1
            if node.nodeBehavior != _KINDS.LeafNode:
                waiting += [(tree, node.trueChildNodeId), (tree, node.falseChildNodeId)]
        return count

    def _damaged(self, tree: int, number: int, what: str) -> VerifyError:
        return VerifyError(f"{self._path}: node {number} of tree {tree} {what}; export it again.")
