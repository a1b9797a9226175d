"""Any single body → its rows of tokens, one by one: the reference that every bulk codec must equal.

Shapes follow the engines' own code and real files: ``fields``/``values`` (OpenScale),
``instances`` / ``predictions`` / ``features`` (SageMaker built-in algorithms), JSON lines, CSV.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from paylog.codecs import CSV, JSON, JSON_LINES, UNKNOWN, MediaType, Rows, Side
from paylog.codecs.csv_body import csv_rows
from paylog.errors import Reason, RejectedRecord

Token = str | None | list[Any]
Row = dict[str, Token]
_MEDIA_TYPES = {
    "text/csv": CSV,
    "application/csv": CSV,
    "application/json": JSON,
    "application/jsonlines": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "application/jsonl": JSON_LINES,
    "application/x-ndjson": JSON_LINES,
    "": UNKNOWN,
    "text/plain": UNKNOWN,
    "application/octet-stream": UNKNOWN,
    "application/x-www-form-urlencoded": UNKNOWN,
}
_LISTS = ("instances", "predictions", "input_data", "inputs", "outputs", "data")


class _Literal(str):
    """A JSON number as it was written."""

    __slots__ = ()


def media_type(content_type: str | None) -> MediaType:
    """Media type of a content type header, parameters (``; charset=…``) aside."""
    name = (content_type or "").split(";", 1)[0].strip().lower()
    return _MEDIA_TYPES.get(name) or MediaType(name)


def load_json(text: bytes | str) -> Any:
    """JSON with numbers as literals; NaN and Infinity, which engines do write, are literals too.

    Raises RejectedRecord (``INVALID_UTF8``, ``MALFORMED_JSON``).
    """
    try:
        return json.loads(text, parse_float=_Literal, parse_int=_Literal, parse_constant=_Literal)
    except UnicodeDecodeError:
        raise RejectedRecord(Reason.INVALID_UTF8) from None
    except (ValueError, RecursionError):
        raise RejectedRecord(Reason.MALFORMED_JSON) from None


def rows_of(body: bytes, media: MediaType, side: Side) -> list[Row]:
    """Rows of one body, chosen by media type first and shape second.

    Raises RejectedRecord when the body cannot be read as rows of ``side``.
    """
    if media == CSV:
        return _csv(body, side)
    if media == JSON_LINES:
        return [row for line in body.splitlines() if line.strip() for row in rows_in(load_json(line), side)]
    if media.name == JSON.name:
        return rows_in(_json_or_lines(body), side)
    if media == UNKNOWN:
        return _sniffed(body, side)
    raise RejectedRecord(Reason.UNSUPPORTED_CONTENT_TYPE)


def _sniffed(body: bytes, side: Side) -> list[Row]:
    """A body without a usable content type: JSON if it parses as such, else CSV."""
    try:
        body.decode()
    except UnicodeDecodeError:
        raise RejectedRecord(Reason.UNSUPPORTED_CONTENT_TYPE) from None
    try:
        document = _json_or_lines(body)
    except RejectedRecord:
        if body.lstrip()[:1] in (b"{", b"["):
            raise
        return _csv(body, side)
    return rows_in(document, side)


def _json_or_lines(body: bytes) -> Any:
    try:
        return load_json(body)
    except RejectedRecord:
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        return [load_json(line) for line in lines]


def _csv(body: bytes, side: Side) -> list[Row]:
    rows, _ = csv_rows(body, side.positional, quoted_newlines=True)
    if rows is None:
        raise RejectedRecord(Reason.MALFORMED_CSV)
    if rows.num_rows == 0 and body.strip():
        raise RejectedRecord(Reason.COLUMN_COUNT_MISMATCH)
    wanted = [name for name in side.positional if name in side.wanted]
    return list(rows.select(wanted).to_pylist()) if wanted else [{}] * rows.num_rows


def rows_in(document: Any, side: Side) -> list[Row]:
    """Rows of a parsed JSON body, whatever its shape."""
    rows = [_row(names, cells, side) for names, cells in _table(document)]
    for row in rows:
        for name in side.required:
            if name not in row:
                raise RejectedRecord(Reason.MISSING_FEATURE, name, max(1, len(rows)))
    return rows


def _table(document: Any) -> Iterator[tuple[tuple[str, ...] | None, Any]]:
    """(names or None, cells) of each row; cells are a list, or a dict by name."""
    if isinstance(document, Mapping):
        yield from _object(document)
    elif isinstance(document, list):
        for element in document:
            if isinstance(element, Mapping):
                yield from _object(element)
            else:
                yield None, element if isinstance(element, list) else [element]
    else:
        yield None, [document]


def _object(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...] | None, Any]]:
    if isinstance(values := document.get("values"), list):
        table = _fields_values(document.get("fields"), values)
        yield from _with_meta(table, document.get("meta"), len(values))
        return
    for key in _LISTS:
        if isinstance(rows := document.get(key), list):
            yield from _table(rows)
            return
    if "features" in document and isinstance(document["features"], list | dict):
        cells = document["features"]
        yield None, cells
    else:
        yield None, document


def _fields_values(fields: Any, values: list[Any]) -> Iterator[tuple[tuple[str, ...] | None, Any]]:
    names = tuple(str(name) for name in fields) if isinstance(fields, list) else None
    if values and not any(isinstance(row, list | dict) for row in values):
        values = [values]  # one flat row, as an IBM tutorial for SageMaker logs it
    for row in values:
        yield names, row if isinstance(row, list | dict) else [row]


def _with_meta(
    rows: Iterator[tuple[tuple[str, ...] | None, Any]], meta: Any, count: int
) -> Iterator[tuple[tuple[str, ...] | None, Any]]:
    """Rows with the cells of a row-aligned ``meta`` block (OpenScale) behind their own."""
    fields = meta.get("fields") if isinstance(meta, Mapping) else None
    values = meta.get("values") if isinstance(meta, Mapping) else None
    if not isinstance(fields, list) or not isinstance(values, list) or len(values) != count:
        yield from rows
        return
    for (names, cells), more in zip(rows, values, strict=True):
        fits = names is not None and isinstance(cells, list) and isinstance(more, list)
        if fits and names is not None and len(more) == len(fields) and len(cells) == len(names):
            yield (*map(str, fields), *names), [*more, *cells]
        else:
            yield names, cells


def _row(names: tuple[str, ...] | None, cells: Any, side: Side) -> Row:
    if isinstance(cells, Mapping):
        pairs: Any = cells.items()
    else:
        names = side.positional if names is None else names
        if len(names) != len(cells):
            raise RejectedRecord(Reason.COLUMN_COUNT_MISMATCH)
        pairs = zip(names, cells, strict=True)
    return {name: _token(cell, name, side) for name, cell in pairs if name in side.wanted}


def _token(cell: Any, name: str, side: Side) -> Token:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if name in side.arrays and isinstance(cell, list):
        return [_token(element, "", side) for element in cell]
    raise RejectedRecord(Reason.TYPE_MISMATCH, name or None)


def as_rows(rows: list[Row], counts: list[int], side: Side) -> Rows:
    """Token rows → columns. A list where a scalar belongs was already refused, so types are plain."""
    import numpy as np

    columns = {}
    for name in side.wanted:
        if any(name in row for row in rows):
            kind = pa.list_(pa.string()) if name in side.arrays else pa.string()
            columns[name] = _array([row.get(name) for row in rows], kind, name)
    return Rows(columns, len(counts), np.array(counts, np.int64))


def _array(tokens: list[Token], kind: pa.DataType, name: str) -> pa.Array:
    if pa.types.is_list(kind):
        tokens = [[token] if isinstance(token, str) else token for token in tokens]
    return pa.array(tokens, kind)
