"""Strict casts of token columns to field types, a column at a time.

``"27"`` is an integer and so is ``27.0``, ``"27.5"`` is not. NaN and infinities become null.
Integers keep all 64 bits. A timestamp without a zone needs the subscription's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from paylog.codecs import Mask
from paylog.model_schema import ARROW_TYPES, TIMESTAMP, FieldType

_INTEGER = re.compile(r"[+-]?[0-9]+(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = r"^[+-]?(?i:nan|inf|infinity)$"
_DOUBLE = rf"^{_NUMBER.pattern}$|{_NOT_FINITE}"
_TO_DIGITS = r"^(?:\+([0-9]+)|(-?[0-9]+))(?:\.0*)?$", r"\1\2"
_MOST_DIGITS = 40
_EXACT = 2**53
_TRUE = ("true", "True", "TRUE", "1")
_FALSE = ("false", "False", "FALSE", "0")
_ZONED = re.compile(r"[T ]\d\d.*(Z|[+-]\d\d(:?\d\d)?)$", re.DOTALL)
_FRACTION = r"(\.[0-9]{6})[0-9]+"

_FIRST = pa.scalar(datetime.min.replace(tzinfo=UTC), TIMESTAMP)
_LAST = pa.scalar(datetime.max.replace(tzinfo=UTC), TIMESTAMP)

Cast = tuple[pa.Array, Mask | None]


def cast(tokens: pa.Array, kind: FieldType, zone: ZoneInfo | None = None) -> Cast:
    """Typed column and, unless all cells fit, a mask of those that did not (they are null in it)."""
    if kind is FieldType.STRING:
        return _strings(tokens)
    if kind is FieldType.INTEGER:
        return _integers(tokens)
    if kind is FieldType.DOUBLE:
        return _doubles(tokens)
    if kind is FieldType.BOOLEAN:
        return _booleans(tokens)
    if kind is FieldType.TIMESTAMP:
        return timestamps(tokens, zone)
    return _vectors(tokens)


def _strings(tokens: pa.Array) -> Cast:
    if pa.types.is_string(tokens.type):
        if not _holds(tokens, b"\0"):
            return tokens, None
        fits = pc.invert(pc.match_substring(tokens, "\0"))  # PostgreSQL's text cannot hold NUL
        return _masked(tokens, fits, lambda kept: kept)
    return pa.nulls(len(tokens), pa.string()), _any(_mask(pc.is_valid(tokens)))


def _integers(tokens: pa.Array) -> Cast:
    if pa.types.is_integer(tokens.type):
        return tokens.cast(pa.int64()), None
    if pa.types.is_floating(tokens.type):
        tokens = tokens.cast(pa.float64())
        if (exact := _whole(tokens)) is not None:
            return exact, None
        whole = pc.and_(pc.less(pc.abs(tokens), _EXACT), pc.equal(pc.round(tokens), tokens))
        return _masked(tokens, whole, lambda kept: kept.cast(pa.int64(), safe=False))
    if not _holds(tokens, b"x", b"X"):  # Arrow would read 0x1F
        try:
            return pc.cast(tokens, pa.int64()), None
        except pa.ArrowInvalid:
            pass
    plain = pc.replace_substring_regex(pc.utf8_trim_whitespace(tokens), *_TO_DIGITS)
    fits = pc.match_substring_regex(plain, r"^-?[0-9]{1,18}$")
    integers = pc.cast(pc.if_else(fits, plain, pa.scalar(None, pa.string())), pa.int64())
    odd = pc.fill_null(pc.invert(fits), False)
    cells = plain.filter(odd)
    others = pa.array([_integer(cell) for cell in cells.to_pylist()], pa.int64())
    bad = _mask(odd)
    bad[bad] = _mask(others.is_null()) & ~_mask(pc.match_substring_regex(cells, _NOT_FINITE))
    return pc.replace_with_mask(integers, odd, others), _any(bad)


def _whole(doubles: pa.Array) -> pa.Array | None:
    """All of them as integers, if they are."""
    try:
        integers = pc.cast(doubles, pa.int64())
    except pa.ArrowInvalid:
        return None
    ends = pc.min_max(integers)
    least, most = ends["min"].as_py() or 0, ends["max"].as_py() or 0
    return integers if least > -_EXACT and most < _EXACT else None


def _integer(cell: str | None) -> int | None:
    """``27`` and ``27.0`` exactly in 64 bits; other spellings (``2.7e1``) below 2^53."""
    if cell is None or not _NUMBER.fullmatch(cell):
        return None
    if _INTEGER.fullmatch(cell):
        digits = cell.partition(".")[0]
        value = int(digits) if len(digits) <= _MOST_DIGITS else 2**63
        return value if -(2**63) <= value < 2**63 else None
    number = float(cell)
    return int(number) if number.is_integer() and abs(number) < _EXACT else None


def _doubles(tokens: pa.Array) -> Cast:
    if pa.types.is_floating(tokens.type) or pa.types.is_integer(tokens.type):
        return _finite(tokens.cast(pa.float64(), safe=False)), None
    if not _holds(tokens, b"("):  # Arrow would read nan(1)
        try:
            return _finite(pc.cast(tokens, pa.float64())), None
        except pa.ArrowInvalid:
            pass
    trimmed = pc.utf8_trim_whitespace(tokens)
    fits = pc.match_substring_regex(trimmed, _DOUBLE)
    doubles, bad = _masked(trimmed, fits, lambda kept: pc.cast(kept, pa.float64()))
    return _finite(doubles), bad


def _finite(doubles: pa.Array) -> pa.Array:
    finite = pc.is_finite(doubles)
    if pc.all(finite).as_py() is not False:
        return doubles
    return pc.if_else(finite, doubles, pa.scalar(None, pa.float64()))


def _booleans(tokens: pa.Array) -> Cast:
    if pa.types.is_boolean(tokens.type):
        return tokens, None
    if not pa.types.is_string(tokens.type):
        tokens = tokens.cast(pa.string())
    true = pc.is_in(tokens, pa.array(_TRUE))
    fits = pc.or_(true, pc.is_in(tokens, pa.array(_FALSE)))
    fits = pc.if_else(pc.is_valid(tokens), fits, pa.scalar(None, pa.bool_()))
    return _masked(true, fits, lambda kept: kept)


def timestamps(tokens: pa.Array, zone: ZoneInfo | None) -> Cast:
    """ISO 8601 with a zone, or without one when ``zone`` is given; microseconds, in UTC."""
    if pa.types.is_timestamp(tokens.type):
        return _typed_timestamps(tokens, zone)
    if not pa.types.is_string(tokens.type):
        return pa.nulls(len(tokens), TIMESTAMP), _any(_mask(pc.is_valid(tokens)))
    if (times := _zoned(tokens)) is not None:
        return times, None
    shortened = pc.replace_substring_regex(tokens, _FRACTION, r"\1")
    if (times := _zoned(shortened)) is not None:
        return times, None
    if zone is not None and (times := _local(shortened, zone)) is not None:
        return times, None
    cells = shortened.to_pylist()
    parsed = [_timestamp(cell, zone) for cell in cells]
    bad = np.array([t is None and c is not None for t, c in zip(parsed, cells, strict=True)], bool)
    return pa.array(parsed, TIMESTAMP), _any(bad)


def _typed_timestamps(times: pa.Array, zone: ZoneInfo | None) -> Cast:
    if times.type.tz is None and zone is not None:
        times = pc.assume_timezone(times, str(zone), ambiguous="earliest", nonexistent="latest")
    if times.type.tz is None:
        return pa.nulls(len(times), TIMESTAMP), _any(_mask(pc.is_valid(times)))
    instants = times.cast(TIMESTAMP, safe=False)
    plausible = pc.and_(pc.greater_equal(instants, _FIRST), pc.less_equal(instants, _LAST))
    return (instants, None) if _all(plausible) else _masked(instants, plausible, lambda kept: kept)


def _zoned(texts: pa.Array) -> pa.Array | None:
    """All of them at once; None if one of them has no zone or is not a time that Python knows."""
    try:
        times = pc.cast(texts, TIMESTAMP)
    except pa.ArrowInvalid:
        return None
    plausible = pc.and_(pc.greater_equal(times, _FIRST), pc.less_equal(times, _LAST))
    return times if pc.all(plausible).as_py() else None


def _local(texts: pa.Array, zone: ZoneInfo) -> pa.Array | None:
    """All of them at once; None if one of them has a zone of its own, or falls into an hour left out."""
    try:
        times = pc.cast(texts, pa.timestamp("us"))
        times = pc.assume_timezone(times, zone.key, ambiguous="earliest", nonexistent="raise").cast(TIMESTAMP)
    except pa.ArrowInvalid:
        return None
    plausible = pc.and_(pc.greater_equal(times, _FIRST), pc.less_equal(times, _LAST))
    return times if pc.all(plausible).as_py() else None


def _timestamp(cell: str | None, zone: ZoneInfo | None) -> datetime | None:
    if cell is None:
        return None
    try:
        if _ZONED.search(cell):
            time: datetime = pc.cast(pa.scalar(cell), TIMESTAMP).as_py()
            return time
        if zone is None:
            return None
        local: datetime = pc.cast(pa.scalar(cell), pa.timestamp("us")).as_py()
        return local.replace(tzinfo=zone).astimezone(UTC)
    except (pa.ArrowInvalid, ValueError, OverflowError):
        return None


def _vectors(tokens: pa.Array) -> Cast:
    if not pa.types.is_list(tokens.type):
        return pa.nulls(len(tokens), ARROW_TYPES[FieldType.ARRAY]), _any(_mask(pc.is_valid(tokens)))
    plain = tokens.type == ARROW_TYPES[FieldType.ARRAY] and not tokens.null_count
    if plain and pc.all(pc.is_finite(tokens.flatten())).as_py() is not False:
        return tokens, None
    values, bad = _doubles(tokens.flatten())
    offsets = tokens.offsets.to_numpy() - tokens.offsets[0].as_py()
    rows = np.zeros(len(tokens), bool)
    if bad is not None:
        rows[np.repeat(np.arange(len(tokens)), np.diff(offsets))[bad]] = True
    mask = pc.or_(tokens.is_null(), pa.array(rows))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=mask), _any(rows)


def _masked(tokens: pa.Array, fits: pa.Array, convert: object, nulls: pa.Array | None = None) -> Cast:
    """Convert the cells that fit; the others are null, and bad unless they stand for null."""
    kept = pc.if_else(fits, tokens, pa.scalar(None, tokens.type))
    bad = pc.invert(fits) if nulls is None else pc.and_not(pc.invert(fits), nulls)
    return convert(kept), _any(_mask(bad))  # type: ignore[operator]


def _all(flags: pa.Array) -> bool:
    """Whether no flag is false; nulls are none."""
    return pc.all(flags).as_py() is not False


def _any(bad: Mask) -> Mask | None:
    return bad if bad.any() else None


def _mask(flags: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), bool)


def _holds(tokens: pa.Array, *marks: bytes) -> bool:
    """Whether a mark, a single byte, is anywhere in the column's text (more than its slice at worst)."""
    texts = tokens.buffers()[2]
    if texts is None:
        return False
    seen = np.frombuffer(texts, np.uint8)
    return any(bool((seen == mark[0]).any()) for mark in marks)
