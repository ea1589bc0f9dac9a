"""Fits a tree or a forest to soft labels, and its control to the labels alone.

The targets are probabilities, so that a leaf holds the mean of the teachers' probabilities of the rows that reach it:
regression trees with a row per view and an output per class, whose squared error is the Gini impurity where the targets
are labels. A forest is extremely randomized trees (Geurts, Ernst, Wehenkel 2006), each on all rows.
"""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tfkd.data.batches import numbered_views, plain_batches
from tfkd.data.dataset import Dataset, Split
from tfkd.data.joined import joined
from tfkd.distill.ensemble import together
from tfkd.distill.measures import accuracy, softmax
from tfkd.distill.predict import predict, predictor
from tfkd.errors import RequestError
from tfkd.files import write_json
from tfkd.models.tree_arrays import LARGEST, Trees
from tfkd.models.trees import network_of
from tfkd.recipe import Student
from tfkd.recipe.student import FOREST
from tfkd.signature import Column, Signature
from tfkd.store.layout import LOGITS
from tfkd.training.job import Job, StudentResult
from tfkd.training.saving import save_array, save_model
from tfkd.training.teaching import open_stores

BATCH = 256
CURVE = "curve.json"


def require_scikit_learn() -> None:
    """Raises a RequestError if scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise RequestError('Trees need the extra "trees", which is not installed: pip install "tfkd[trees]".')


def train_trees(job: Job, data: Dataset, say: Callable[[str], None]) -> StudentResult:
    """Fits the tree or forest of a job; the result is that of `tfkd.training.student.train_student`.

    Raises:
        RequestError: scikit-learn is missing, or the soft-label store does not fit the data.
    """
    require_scikit_learn()
    start = time.perf_counter()
    signature = data.reading.signature(job.recipe.data)
    rows, targets = (_taught if job.kind == "student" else _labelled)(job, data, signature)
    trees = fitted(job.student, rows, targets, signature.columns, job.seed)
    model = network_of(trees, signature.columns, job.student.model)
    run = predictor(model)
    test = predict(run, plain_batches(data.test, signature, BATCH))
    validation = predict(run, plain_batches(data.validation, signature, BATCH))
    right = accuracy(validation, data.validation.labels)
    error = float(np.mean((softmax(predict_rows(run, rows)) - targets) ** 2))
    save_array(test, job.folder / "test_logits.npy")
    save_model(model, job.folder / "student.keras")
    write_json(job.folder / CURVE, [{"epoch": 1, "loss": error, "validation_accuracy": right, "learning_rate": 0.0}])
    say(f"  {job.kind} (seed {job.seed}): {described(trees)}, fitted to {len(rows):,} rows, validation {right:.1%}")
    return StudentResult(
        kind=job.kind,
        seed=job.seed,
        parameters=model.count_params(),
        accuracy=accuracy(test, data.test.labels),
        validation_accuracy=right,
        epochs=1,
        seconds=time.perf_counter() - start,
    )


def described(trees: Trees) -> str:
    """Returns the size of trees in a few words."""
    several = f"{len(trees.roots)} trees of" if len(trees.roots) > 1 else "a tree of"
    return f"{several} {len(trees.values):,} leaves, {trees.depth} comparisons deep"


def predict_rows(run: Callable[[Any], Any], rows: np.ndarray) -> np.ndarray:
    """Returns the outputs for rows, float32 [n, columns], in batches."""
    return np.concatenate([run(rows[start : start + BATCH]).numpy() for start in range(0, len(rows), BATCH)])


def _taught(job: Job, data: Dataset, signature: Signature) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows, float32 [n, columns], and targets, float64 [n, classes], of the transfer set.

    The target of a labelled row is the weighted mean of the teachers' probabilities and the label.
    """
    distill = job.recipe.distill
    split = joined(data.train, data.unlabelled) if data.unlabelled else data.train
    stores, weights = open_stores(job.stores)
    positions = np.arange(len(split))
    found, taught = [], []
    for view in range(1 if distill.targets == "image" else distill.views):
        if distill.targets == "image":
            found.append(_plain(split, signature))
            read = [store.mean(positions)[LOGITS] for store in stores]
        else:
            found.append(_view(job, split, signature, view))
            read = [store.read(positions, view)[LOGITS] for store in stores]
        taught.append(_with_labels(softmax(together(read, weights)), split.labels, distill.label_weight))
    return np.concatenate(found), np.concatenate(taught)


def _labelled(job: Job, data: Dataset, signature: Signature) -> tuple[np.ndarray, np.ndarray]:
    """Returns as many views of the labelled rows, and their labels as probabilities."""
    by_image = job.recipe.distill.targets == "image"
    views = range(1 if by_image else job.recipe.distill.views)
    rows = [_plain(data.train, signature) if by_image else _view(job, data.train, signature, view) for view in views]
    return np.concatenate(rows), np.tile(np.eye(len(data.classes))[data.train.labels], (len(views), 1))


def _plain(split: Split, signature: Signature) -> np.ndarray:
    return np.concatenate([rows.numpy() for rows, _ in plain_batches(split, signature, BATCH)])


def _view(job: Job, split: Split, signature: Signature, view: int) -> np.ndarray:
    recipe, order = job.recipe, np.arange(len(split))
    views = numbered_views(split, recipe.teacher_views, recipe.seed, view, order, signature, BATCH)
    return np.concatenate([batch["inputs"].numpy() for batch in views])


def _with_labels(probabilities: np.ndarray, labels: np.ndarray, weight: float) -> np.ndarray:
    known = labels >= 0
    targets = probabilities.copy()
    targets[known] += weight * np.eye(probabilities.shape[1])[labels[known]]
    return targets / targets.sum(axis=1, keepdims=True)


def fitted(student: Student, rows: np.ndarray, targets: np.ndarray, columns: tuple[Column, ...], seed: int) -> Trees:
    """Fits a tree or a forest.

    Args:
        student: block of the recipe.
        rows: float32 [n, columns].
        targets: probabilities, float [n, classes].
        columns: of the rows.
        seed: of everything random.
    """
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.tree import DecisionTreeRegressor

    settings = {"max_depth": student.depth, "min_samples_leaf": student.min_leaf, "random_state": seed}
    encoded, questions = _encoded(rows, columns)
    if student.model == FOREST:
        forest = ExtraTreesRegressor(student.trees, max_features="sqrt", n_jobs=1, **settings)
        return _arrays([each.tree_ for each in forest.fit(encoded, targets).estimators_], questions)
    return _arrays([DecisionTreeRegressor(**settings).fit(encoded, targets).tree_], questions)


def _encoded(rows: np.ndarray, columns: tuple[Column, ...]) -> tuple[np.ndarray, list[tuple[int, float | None]]]:
    """Returns what scikit-learn splits: the numbers, and whether a row is of each category.

    Returns:
        float32 [n, questions], and of each question its column and its category, or None for a number.
    """
    questions: list[tuple[int, float | None]] = []
    parts = []
    for number, column in enumerate(columns):
        for category in map(float, range(len(column.categories))):
            questions.append((number, category))
            parts.append((rows[:, number] == category).astype(np.float32))
        if not column.categories:
            questions.append((number, None))
            parts.append(rows[:, number])
    return np.stack(parts, axis=1), questions


def _arrays(found: list[Any], questions: list[tuple[int, float | None]]) -> Trees:
    """Returns the trees of scikit-learn, which go to the left where `value <= threshold` in float64."""
    is_leaf = np.concatenate([tree.children_left < 0 for tree in found])
    comparisons = int((~is_leaf).sum())
    number = np.where(is_leaf, comparisons + np.cumsum(is_leaf) - 1, np.cumsum(~is_leaf) - 1).astype(np.int32)
    begins = np.cumsum([0, *(tree.node_count for tree in found)])
    children = np.concatenate(
        [
            np.stack([tree.children_left, tree.children_right], axis=1) + begin
            for tree, begin in zip(found, begins[:-1], strict=True)
        ]
    )
    asked = [questions[feature] for tree in found for feature in tree.feature[tree.children_left >= 0]]
    thresholds = np.concatenate([tree.threshold for tree in found])[~is_leaf]
    whole = np.array([category is not None for _, category in asked], bool)
    centre = np.array([category or 0.0 for _, category in asked])
    values = np.concatenate([tree.value[tree.children_left < 0, :, 0] for tree in found])
    support = np.concatenate([tree.weighted_n_node_samples for tree in found])
    return Trees(
        column=np.array([column for column, _ in asked], np.int32),
        lower=np.where(whole, centre - 0.5, _rounded_down(thresholds)).astype(np.float32),
        upper=np.where(whole, centre + 0.5, LARGEST).astype(np.float32),
        children=number[children[~is_leaf]],
        values=(values / values.sum(axis=1, keepdims=True)).astype(np.float32),
        roots=number[begins[:-1]],
        support=support[np.argsort(number)].astype(np.float32),
    )


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Returns the largest float32 number that is not above each: float32 values compare with both alike."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
