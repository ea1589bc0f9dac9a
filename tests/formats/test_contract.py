"""What is promised of every format: its record names what exists, and its files are written, checked and run."""

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest

import tfkd.bundle
from tests.formats.facts import facts_of
from tests.writers.conftest import CARD, SIGNATURE, make_model
from tfkd.benchmark import TARGETS, host
from tfkd.formats import FORMATS, FORMS, TIMED, Format, load
from tfkd.formats.families import FAMILIES
from tfkd.inputs import KINDS
from tfkd.recipe import CoremlForm, Export, Gates, oldest_ios
from tfkd.report.usage import STEPS
from tfkd.verification import artifacts, gates, requirements
from tfkd.writers import Calibration, exported_file
from tfkd.writers.graph import Graph, frozen

TEMPLATES = Path(tfkd.bundle.__file__).parent / "templates"


def functions() -> Iterator[str]:
    """Yields every "module:function" in the records."""
    for format in FORMATS.values():
        values = [getattr(each, field.name) for each in (format, *format.precisions.values()) for field in fields(each)]
        yield from (value for value in values if isinstance(value, str) and ":" in value)


@pytest.mark.parametrize("name", sorted(set(functions())))
def test_every_function_that_a_record_names_exists(name: str) -> None:
    assert callable(load(name))
    assert load(name).__module__.startswith(name.partition(":")[0]), "it is defined there and not only imported"


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_a_record_is_complete(format: Format) -> None:
    assert FORMATS[format.name] is format
    assert format.usual is None or format.usual in format.precisions
    assert {format.writer, format.check, format.predict} <= set(functions())
    families = {*format.stored, *format.any_delegate, *(each for names in format.delegates.values() for each in names)}
    for precision in format.precisions.values():
        assert tuple(precision.tolerances) == format.families
        assert all(0 < tolerance <= 0.06 for tolerance in precision.tolerances.values())
        assert set(precision.gates) <= set(Gates.model_fields) & set(gates.JUDGES)
        families |= set(precision.stored)
    assert families <= set(format.families) <= set(FAMILIES)
    for name in format.precisions:
        assert all(FAMILIES[family].options is not None for family in format.stored_families(name))
    assert bool(format.extra) == bool(format.modules)


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_an_unknown_precision_gets_the_widest_tolerances(format: Format) -> None:
    found = format.precision("of_tomorrow")
    assert found.gates == ("min_agreement",)
    for family in format.families:
        assert found.tolerances[family] == max(each.tolerances[family] for each in format.precisions.values())


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_the_source_code_for_apps_has_templates_and_instructions(format: Format) -> None:
    for code in format.code:
        assert (TEMPLATES / code.template).is_file() and "{type}" in code.file
        assert code.runtime in {*STEPS, "tokenizer", "counter"} and code.kind in KINDS
    assert not format.code or any(each.shipped for other in FORMATS.values() for each in other.precisions.values())


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_the_test_of_a_format_names_all_its_files(format: Format) -> None:
    found = {format.form(precision): format.path("tiny", precision) for precision in format.precisions}
    assert found == facts_of(format.name).files


def forms_of(field: str) -> list[str]:
    """Returns the forms that a field of a recipe's export may name: itself where it is True or False."""
    annotation = Export.model_fields[field].annotation
    return [field] if annotation is bool else [*get_args(get_args(annotation)[0])]


def test_a_recipe_can_request_every_form_and_no_other() -> None:
    requested = {field: forms_of(field) for field in {format.recipe_field for format in FORMATS.values()}}
    for field, forms in requested.items():
        assert sorted(forms) == sorted(form for form, (format, _) in FORMS.items() if format.recipe_field == field)
    assert len(FORMS) == sum(len(format.precisions) for format in FORMATS.values()), "no two files have one form"
    switches = {field for field in requested if Export.model_fields[field].annotation is bool}
    everything = {field: field in switches or forms for field, forms in requested.items()}
    assert sorted(Export.model_validate(everything).forms) == sorted(FORMS)


@pytest.mark.parametrize("form", get_args(CoremlForm))
def test_a_recipe_and_a_record_know_the_same_oldest_ios(form: CoremlForm) -> None:
    format, precision = FORMS[form]
    assert format.precisions[precision].oldest_ios == oldest_ios(form)


def test_targets_run_known_formats_and_this_machine_those_that_a_run_times() -> None:
    for target in TARGETS.values():
        assert set(importlib.import_module(target.module).FORMATS) <= set(FORMATS)
    assert host.FORMATS == TIMED


@pytest.fixture(scope="module")
def model() -> Any:
    return make_model()


@pytest.fixture(scope="module")
def graph(model: Any) -> Iterator[Graph]:
    with frozen(model, CARD) as graph:
        yield graph


@pytest.mark.parametrize("form", [form for name in FORMATS for form in facts_of(name).errors])
def test_a_file_is_written_checked_and_run(
    form: str, graph: Graph, model: Any, images: np.ndarray, tmp_path: Path
) -> None:
    format, precision = FORMS[form]
    if not all(importlib.util.find_spec(name) for name in format.modules):
        pytest.skip(f'the extra "{format.extra}" is not installed')
    facts, file = facts_of(format.name), exported_file(form, "tiny")
    assert file.form == form
    load(format.writer)(graph, file, tmp_path / file.path, CARD, Calibration(images))
    assert (tmp_path / file.path).is_dir() == format.is_folder
    artifacts.check(tmp_path / file.path, format.name, CARD, SIGNATURE)
    needed = requirements.of(tmp_path / file.path, format.name)
    assert precision in (needed.precisions or (precision,))
    assert needed.min_runtime == facts.runtimes[form]
    right = keras.ops.softmax(model(images.astype(np.float32), training=False)).numpy()
    for family in format.stored_families(precision):
        answers = artifacts.predict(tmp_path / file.path, format.name, [images], family)
        assert np.abs(answers - right).max() <= facts.errors[form], family
