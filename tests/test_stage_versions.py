"""Whenever a stage's code changes, its version is raised or its results are recorded as the same."""

import ast
import functools
import json
from typing import Any

import pytest

from tools import stage_versions

RECORDED: dict[str, Any] = json.loads(stage_versions.RECORD.read_text(encoding="utf-8"))


def test_the_code_of_every_stage_is_that_of_its_version() -> None:
    found = stage_versions.changes(RECORDED)
    assert found == [], "\n".join(map(str, found))


def test_a_changed_module_needs_a_new_version_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = stage_versions._tree_digest

    def changed(tree: ast.AST) -> str:
        one = isinstance(tree, ast.Module) and any(getattr(node, "name", "") == "prepare_teacher" for node in tree.body)
        return "changed" if one else digest(tree)

    monkeypatch.setattr(stage_versions, "_tree_digest", changed)
    monkeypatch.setattr(stage_versions, "_module", functools.cache(stage_versions._module.__wrapped__))
    found = {change.stage: change for change in stage_versions.changes(RECORDED)}
    assert "teacher" in found and "data" not in found and "bench" not in found
    assert found["teacher"].modules == ("tfkd.training.teacher",) and not found["teacher"].new
    assert "raise the version in tfkd.pipeline.stages.teacher" in str(found["teacher"])


def test_a_new_version_is_to_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stage_versions.VERSIONS, "verify", 1000)
    (change,) = stage_versions.changes(RECORDED)
    assert (change.stage, change.new) == ("verify", True)


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ('"""Other words."""\n\n\ndef f(x):\n    """Of f."""\n    return x + 1  # one more\n', True),
        ("def f(x): return x + 1", True),
        ("def f(x): return x + 2", False),
        ("def f(y): return y + 1", False),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(source: str, same: bool) -> None:
    def digest(text: str) -> str:
        return stage_versions._tree_digest(ast.parse(text))

    assert (digest(source) == digest('"""Words."""\ndef f(x):\n    return x + 1')) is same


@pytest.mark.parametrize(
    ("stage", "module"),
    [
        ("data", "tfkd.inputs.image.decode"),
        ("teacher", "tfkd.models.squeezenet"),
        ("student", "tfkd.distill.losses.contrastive"),
        ("compress", "tfkd.compress.prune"),
        ("export", "tfkd.writers.coreml"),
        ("verify", "tfkd.verification.coreml.kernels.pooling"),
        ("bench", "tfkd.benchmark.runner"),
        ("report", "tfkd.report.html"),
    ],
)
def test_modules_are_found_also_where_only_their_names_are_written(stage: str, module: str) -> None:
    assert module in stage_versions.code_of(stage)


def test_the_excluded_modules_exist() -> None:
    assert all(stage_versions._path(name) for name in stage_versions.BESIDE)
