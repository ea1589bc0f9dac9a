"""Writes trees as a Core ML tree ensemble (.mlmodel), from their arrays: coremltools reads no current scikit-learn."""

from typing import Any

from tfkd.models.tree_arrays import LARGEST, Trees
from tfkd.quiet import native_logs_silenced
from tfkd.signature import Signature

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    from coremltools import proto

_VERSION = 4  # of the specification: iOS 13, the oldest that any .mlmodel of tfkd is for


def specification_of(
    trees: Trees, signature: Signature, classes: tuple[str, ...], label: str, probabilities: str
) -> Any:
    """Returns the specification of a classifier whose probabilities are the sums of leaves.

    Core ML compares in float64. The bounds and the values of a row are float32 numbers, so that it sends each row where
    every other file does.

    Args:
        trees: the trees.
        signature: of the row.
        classes: in the order of the probabilities.
        label: name of the output of the most probable class.
        probabilities: name of the output of all probabilities.
    """
    specification = proto.Model_pb2.Model()
    specification.specificationVersion = _VERSION
    _describe(specification.description, signature, label, probabilities)
    classifier = specification.treeEnsembleClassifier
    classifier.stringClassLabels.vector.extend(classes)
    ensemble = classifier.treeEnsemble
    ensemble.numPredictionDimensions = len(classes)
    ensemble.basePredictionValue.extend([0.0] * len(classes))
    for number, root in enumerate(trees.roots.tolist()):
        _add_tree(ensemble, trees, number, root)
    return specification


def _describe(description: Any, signature: Signature, label: str, probabilities: str) -> None:
    row = description.input.add(name=signature.single.name)
    row.type.multiArrayType.dataType = proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    row.type.multiArrayType.shape.append(len(signature.columns))
    description.output.add(name=label).type.stringType.SetInParent()
    description.output.add(name=probabilities).type.dictionaryType.stringKeyType.SetInParent()
    description.predictedFeatureName, description.predictedProbabilitiesName = label, probabilities


def _add_tree(ensemble: Any, trees: Trees, number: int, root: int) -> None:
    """Adds the nodes of a tree in the order in which they are reached, numbered from 0."""
    behaviours = proto.TreeEnsemble_pb2.TreeEnsembleParameters.TreeNode
    waiting, numbers = [root], {root: 0}
    while waiting:
        node = waiting.pop()
        entry = ensemble.nodes.add(treeId=number, nodeId=numbers[node])
        if node >= trees.comparisons:
            entry.nodeBehavior = behaviours.LeafNode
            for dimension, value in enumerate(trees.values[node - trees.comparisons].tolist()):
                if value:
                    entry.evaluationInfo.add(evaluationIndex=dimension, evaluationValue=value / len(trees.roots))
            continue
        lower, upper = float(trees.lower[node]), float(trees.upper[node])
        is_category = upper < LARGEST
        entry.nodeBehavior = behaviours.BranchOnValueEqual if is_category else behaviours.BranchOnValueGreaterThan
        entry.branchFeatureIndex = int(trees.column[node])
        entry.branchFeatureValue = (lower + upper) / 2 if is_category else lower
        children = trees.children[node].tolist()
        for child in children:
            numbers[child] = len(numbers)
        entry.falseChildNodeId, entry.trueChildNodeId = (numbers[child] for child in children)
        waiting.extend(reversed(children))
