"""Columns as a store has them → the declared types: CSV, Parquet and Db2 become the same values."""

from __future__ import annotations

from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paylog.casts import cast
from paylog.model_schema import ARROW_TYPES, TIMESTAMP, FieldType

_NAIVE = pa.timestamp("us")
_WORDS = pa.dictionary(pa.int32(), pa.string())


class TypedColumn(NamedTuple):
    """Values of the declared type (text is dictionary encoded), null where there is none.

    :param misfits: mask of the cells that are not of the declared type, unless all are.
    """

    values: pa.Array
    misfits: NDArray[np.bool_] | None


def typed(column: pa.Array, kind: FieldType, zone: ZoneInfo) -> TypedColumn:
    """By the rules of ``casts``; beyond them whole numbers and booleans may be texts, decimals numbers.

    An empty text is null: a CSV file cannot tell them apart.

    :param zone: of timestamps without one; a date is its midnight.
    """
    column = _plain(column)
    if kind is FieldType.STRING:
        return _text(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    if kind is FieldType.TIMESTAMP and (times := _times(column, zone)) is not None:
        return TypedColumn(times, None)
    if _is_foreign(column.type, kind):
        misfits = column.is_valid().to_numpy(zero_copy_only=False)
        return TypedColumn(pa.nulls(len(column), ARROW_TYPES[kind]), misfits if misfits.any() else None)
    return TypedColumn(*cast(column, kind, zone))


def _plain(column: pa.Array) -> pa.Array:
    """Fewer physical types, without empty texts: decimals become text, which is exact."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        if not pa.types.is_string(kind.value_type):
            return _plain(column.dictionary_decode())
        column = column.cast(_WORDS)
        if not _has_empty(column.dictionary):
            return column
        column = column.cast(pa.string())
    if pa.types.is_decimal(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.string())
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        if kind != pa.float64():  # the number that was written, 1.1, not the nearest one of few bits
            column = column.cast(pa.float32()).cast(pa.string())
        column = column.cast(pa.float64())
        finite = pc.is_finite(column)
        return column if pc.all(finite).as_py() else pc.if_else(finite, column, pa.scalar(None, pa.float64()))
    if pa.types.is_string(column.type) and _has_empty(column):
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    return column


def _has_empty(texts: pa.Array) -> bool:
    shortest = pc.min(pc.binary_length(texts)).as_py()
    return bool(shortest == 0)


def _holds_nul(texts: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring(texts, "\0")).as_py())


def _text(column: pa.Array) -> TypedColumn:
    if pa.types.is_dictionary(column.type) and not _holds_nul(column.dictionary):
        return TypedColumn(column, None)
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    if _is_foreign(column.type, FieldType.STRING):
        misfits = column.is_valid().to_numpy(zero_copy_only=False)
        return TypedColumn(pa.nulls(len(column), pa.string()).dictionary_encode(), misfits)
    texts = column if pa.types.is_string(column.type) else column.cast(pa.string())
    values, misfits = cast(texts, FieldType.STRING)
    return TypedColumn(values.dictionary_encode().cast(_WORDS), misfits)


def _is_foreign(physical: pa.DataType, kind: FieldType) -> bool:
    """Whether no value of that physical type can be of the declared one."""
    if pa.types.is_string(physical):
        return False
    if kind is FieldType.STRING:
        return bool(pa.types.is_nested(physical) or pa.types.is_binary(physical))
    if kind is FieldType.ARRAY:
        return not pa.types.is_list(physical)
    numbers = pa.types.is_integer(physical) or pa.types.is_floating(physical)
    if kind is FieldType.BOOLEAN:
        return not (numbers or pa.types.is_boolean(physical))
    return kind is FieldType.TIMESTAMP or not numbers


def _times(column: pa.Array, zone: ZoneInfo) -> pa.Array | None:
    """Times and dates, or text all of which is without a zone; None for what ``cast`` must look at."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(TIMESTAMP, safe=False)
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_string(kind)):
        return None
    try:
        naive = column.cast(_NAIVE, safe=pa.types.is_string(kind))
        return pc.assume_timezone(naive, str(zone), ambiguous="earliest", nonexistent="latest").cast(
            TIMESTAMP
        )
    except pa.ArrowInvalid:
        return None
