"""Columns of tables (CSV, Parquet) → flat rows: those that are of use, fit for the casts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from paylog.codecs import JSON, UNKNOWN, Rows
from paylog.codecs.body import load_json
from paylog.engines import Events, Flat
from paylog.engines.tables import TableBlock, first_column
from paylog.errors import RejectedRecord
from paylog.model_schema import FieldType, ModelSchema, Role
from paylog.outputs import Outputs

_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_VECTOR = rf"^\[{_NUMBER}(?:, ?{_NUMBER})*\]$"
_UNFIT = "[]"  # what no scalar type takes
_FITS = {
    FieldType.INTEGER: (pa.types.is_signed_integer, pa.types.is_floating),
    FieldType.DOUBLE: (pa.types.is_signed_integer, pa.types.is_floating),
    FieldType.BOOLEAN: (pa.types.is_boolean,),
    FieldType.TIMESTAMP: (pa.types.is_timestamp,),
}


@dataclass(frozen=True, slots=True)
class RowNames:
    """What the columns beside the model's own are called."""

    scoring_id: str = "scoring_id"
    scoring_timestamp: str = "scoring_timestamp"
    transaction_id: str = "transaction_id"
    response_time: str = "response_time"
    revision: str = "asset_revision"

    def types(self) -> dict[str, FieldType]:
        """By column name."""
        texts = dict.fromkeys((self.scoring_id, self.transaction_id, self.revision), FieldType.STRING)
        return {**texts, self.scoring_timestamp: FieldType.TIMESTAMP, self.response_time: FieldType.DOUBLE}


class FlatRows:
    """Makes flat rows for one model."""

    def __init__(self, schema: ModelSchema, names: RowNames | None = None) -> None:
        self.names = names or RowNames()
        inputs = (*schema.features, *schema.of_role(Role.META_FIELD))
        self.types = {
            **self.names.types(),
            **Outputs(schema).types(),
            **{f"P({label})": FieldType.DOUBLE for label in schema.class_labels},
            **{field.name: field.type for field in inputs},
        }

    def of(self, block: TableBlock, constants: Mapping[str, str | None] | None = None) -> Flat:
        """The rows of a block.

        :param constants: columns that the object's path tells, by name; those of the table come first.
        """
        table = block.table
        columns = {
            name: fitted(table[name].combine_chunks(), kind)
            for name, kind in self.types.items()
            if name in table.column_names
        }
        for name, value in (constants or {}).items():
            if name in self.types:
                columns.setdefault(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
        names, nothing = self.names, pa.nulls(table.num_rows, pa.string())
        ids = columns.get(names.scoring_id, nothing)
        events = Events(
            positions=block.positions,
            event_ids=ids if pa.types.is_string(ids.type) else nothing,
            timestamps=columns.get(names.scoring_timestamp, nothing),
            requests=(),
            responses=(),
            request_type=JSON,
            response_type=UNKNOWN,
            raw=block.raw,
            transaction_ids=columns.get(names.transaction_id),
            response_times=columns.get(names.response_time),
            revisions=columns.get(names.revision),
            row_ids=True,
        )
        rows = Rows(columns, table.num_rows)
        return Flat(events, rows, rows)


def texts_in(table: pa.Table, names: Sequence[str]) -> pa.Array | None:
    """Each row's cell of the first of these columns that holds anything there; None if that is no text."""
    column = first_column(table, names)
    texts = None if column is None else fitted(column, FieldType.STRING)
    return texts if texts is not None and pa.types.is_string(texts.type) else None


def fitted(column: pa.Array, kind: FieldType) -> pa.Array:
    """A column as the cast to ``kind`` takes it: typed where that loses nothing, else as text."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    found = column.type
    if kind is FieldType.ARRAY:
        return _vectors(column)
    if any(fits(found) for fits in _FITS.get(kind, ())):
        return column.cast(pa.float64()) if pa.types.is_float16(found) else column
    if pa.types.is_nested(found):
        return column if kind is FieldType.STRING else _unfit(column)
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # binary that is no text
        return column if kind is FieldType.STRING else _unfit(column)


def _unfit(column: pa.Array) -> pa.Array:
    return pc.if_else(column.is_valid(), _UNFIT, pa.scalar(None, pa.string()))


def _vectors(column: pa.Array) -> pa.Array:
    """Lists as they are; a list spelled out as JSON; a lone number is a list of one."""
    found = column.type
    if pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found):
        inner = found.value_type
        numeric = pa.types.is_floating(inner) or pa.types.is_integer(inner)
        try:
            return column.cast(pa.list_(pa.float64() if numeric else pa.string()))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return _unfit(column)
    if pa.types.is_nested(found):
        return column
    texts = fitted(column, FieldType.STRING)
    if not pa.types.is_string(texts.type):
        return texts
    regular = pc.match_substring_regex(texts, _VECTOR)
    if not pc.all(regular).as_py():
        return pa.array(map(_vector, texts.to_pylist()), pa.list_(pa.string()))
    inner = pc.replace_substring(pc.utf8_slice_codeunits(texts, 1, -1), " ", "")
    return pc.split_pattern(inner, ",")


def _vector(text: str | None) -> list[str | None] | None:
    if text is None:
        return None
    try:
        found = load_json(text)
    except RejectedRecord:
        found = text
    if not isinstance(found, list):
        return [text]
    return [cell if cell is None or isinstance(cell, str) else _UNFIT for cell in found]
