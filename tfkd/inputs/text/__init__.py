"""Texts: ids of word pieces, split by the rule of the phone."""

from tfkd.inputs.kind import InputKind
from tfkd.inputs.text.examples import (
    conversion,
    decode_golden,
    encode_golden,
    encode_shown,
    from_memory,
    golden_ids,
    no_normalization,
    no_others,
    shown_type,
    to_golden,
)
from tfkd.inputs.text.listed import source_in, write_source
from tfkd.inputs.text.reading import reading
from tfkd.inputs.text.row_names import ROW_NAMES
from tfkd.inputs.text.tensors import describe, signature_of
from tfkd.recipe.texts import NOT_OF_TEXTS

KIND = InputKind(
    name="text",
    noun="text",
    suffixes=(".txt",),
    companions=(),
    feature=("Text", "text"),
    reading=reading,
    signature_of=signature_of,
    describe=describe,
    fields=frozenset({"tokens", "vocabulary", "pieces", "augment.word_dropout"}),
    export_fields=frozenset({"tokens", "vocabulary"}),
    not_by_default=NOT_OF_TEXTS,
    conversion=conversion,
    golden_suffix=".txt",
    values="ids",
    elsewhere="texts of other writers, topics or times",
    normalization=no_normalization,
    other_normalizations=no_others,
    source_in=source_in,
    write_source=write_source,
    from_memory=from_memory,
    to_golden=to_golden,
    encode_golden=encode_golden,
    decode_golden=decode_golden,
    golden_ids=golden_ids,
    encode_shown=encode_shown,
    shown_type=shown_type,
    row_names=ROW_NAMES,
)
