"""Rows of tables: numbers and categories, in the order of the columns."""

from tfkd.inputs.kind import InputKind, RowNames
from tfkd.inputs.table.examples import (
    conversion,
    decode_golden,
    encode_golden,
    encode_shown,
    from_memory,
    no_normalization,
    no_others,
    shown_type,
    to_golden,
)
from tfkd.inputs.table.listed import source_in, write_source
from tfkd.inputs.table.reading import reading
from tfkd.inputs.table.tensors import describe, signature_of
from tfkd.inputs.text.row_names import normal
from tfkd.recipe.tables import NOT_OF_TABLES

KIND = InputKind(
    name="table",
    noun="row",
    suffixes=(".json",),
    companions=(),
    feature=("FeaturesDict", "row"),
    reading=reading,
    signature_of=signature_of,
    describe=describe,
    fields=frozenset({"label_column", "columns", "categorical", "augment.jitter"}),
    export_fields=frozenset(),
    not_by_default=NOT_OF_TABLES,
    conversion=conversion,
    golden_suffix=".json",
    values="numbers",
    elsewhere="rows of other places, people or times",
    normalization=no_normalization,
    other_normalizations=no_others,
    source_in=source_in,
    write_source=write_source,
    from_memory=from_memory,
    to_golden=to_golden,
    encode_golden=encode_golden,
    decode_golden=decode_golden,
    encode_shown=encode_shown,
    shown_type=shown_type,
    row_names=RowNames(normal, None, lambda names: "Name rows by their table and line, e.g. 'table.csv, line 2'"),
)
