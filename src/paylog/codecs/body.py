"""Any single body → its rows of tokens, one by one: the reference that every bulk codec must equal.

Shapes follow the engines' own code and real files: ``fields``/``values`` (OpenScale),
``instances`` / ``predictions`` / ``features`` (SageMaker built-in algorithms), JSON lines, CSV.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from paylog.codecs import CSV, JSON, JSON_LINES, NESTING, UNKNOWN, Bodies, MediaType, Rows, Side
from paylog.codecs.csv_body import csv_rows, plain_rows
from paylog.codecs.mlflow_body import mlflow_rows
from paylog.codecs.seldon_body import Table, inner_document, is_seldon_message, seldon_rows
from paylog.codecs.spss_body import spss_rows
from paylog.codecs.tensors import tensor_rows
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
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _Literal(str):
    """A JSON number as it was written."""

    __slots__ = ()


def media_type(content_type: str | None) -> MediaType:
    """Media type of a content type header, parameters (``; charset=…``) aside."""
    name = (content_type or "").split(";", 1)[0].strip().lower()
    return _MEDIA_TYPES.get(name) or MediaType(name)


def is_text(bodies: Bodies, media: MediaType) -> bool:
    """Whether all bodies are UTF-8 and of a media type that is known here."""
    try:
        b"\n".join(bodies).decode()
    except UnicodeDecodeError:
        return False
    return media in _MEDIA_TYPES.values()


def load_json(text: bytes | str) -> Any:
    """JSON with numbers as literals; NaN and Infinity, which engines do write, are null.

    Raises RejectedRecord (``INVALID_UTF8``, ``MALFORMED_JSON``).
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        document = json.loads(text, parse_float=_Literal, parse_int=_Literal, parse_constant=_no_value)
        if _SURROGATE.search(text):  # half a character by itself is no text
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeError:
        raise RejectedRecord(Reason.INVALID_UTF8) from None
    except (ValueError, RecursionError):
        raise RejectedRecord(Reason.MALFORMED_JSON) from None
    return document


def _no_value(constant: str) -> None:
    """NaN and infinities are null."""


def rows_of(body: bytes, media: MediaType, side: Side) -> list[Row]:
    """Rows of one body, chosen by media type first and shape second.

    Raises RejectedRecord when the body cannot be read as rows of ``side``.
    """
    if media == CSV:
        return _csv(body, side)
    if media == JSON_LINES:
        return rows_in(_lines_or_json(body), side)
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


def _lines_or_json(body: bytes) -> Any:
    try:
        return [load_json(line) for line in body.splitlines() if line.strip()]
    except RejectedRecord:
        return load_json(body)


def _csv(body: bytes, side: Side) -> list[Row]:
    try:
        body.decode()
    except UnicodeDecodeError:
        raise RejectedRecord(Reason.INVALID_UTF8) from None
    lines = plain_rows(body) or _quoted_lines(body, side)
    if any(len(line) != len(side.positional) for line in lines):
        raise RejectedRecord(Reason.COLUMN_COUNT_MISMATCH, rows=len(lines))
    return [
        {
            name: _token(cell, name, side)
            for name, cell in zip(side.positional, line, strict=True)
            if name in side.wanted
        }
        for line in lines
    ]


def _quoted_lines(body: bytes, side: Side) -> list[list[str | None]]:
    table, odd = csv_rows(body, side.positional, quoted_newlines=True)
    if table is None:
        raise RejectedRecord(Reason.MALFORMED_CSV)
    if odd:
        raise RejectedRecord(Reason.COLUMN_COUNT_MISMATCH, rows=table.num_rows + len(odd))
    return list(map(list, zip(*(column.to_pylist() for column in table.columns), strict=True)))


def rows_in(document: Any, side: Side) -> list[Row]:
    """Rows of a parsed JSON body, whatever its shape."""
    table = table_in(document, side)
    try:
        return [_row(names, cells, side) for names, cells in table]
    except RejectedRecord as error:
        raise RejectedRecord(error.reason, error.column, len(table)) from None


def table_in(document: Any, side: Side) -> Table:
    """(names or None, cells) of each row of a parsed JSON body, before anything is chosen from it."""
    try:
        if is_seldon_message(document, side) and (inner := inner_document(document)) is not None:
            return table_in(load_json(inner) if isinstance(inner, str) else inner, side)
        table = _engines_own(document, side)
        return list(_table(document)) if table is None else table
    except RecursionError:
        raise RejectedRecord(Reason.UNSUPPORTED_BODY) from None


def _engines_own(document: Any, side: Side) -> Table | None:
    """Rows of a body in a protocol that says itself what is what."""
    if (table := tensor_rows(document, side)) is not None:
        return table
    if is_seldon_message(document, side):
        return seldon_rows(document)
    table = mlflow_rows(document, side)
    return spss_rows(document, side.wanted) if table is None else table


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
        yield from _with_meta(list(table), document.get("meta"))
        return
    for key in NESTING[1:-1]:
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
    rows: list[tuple[tuple[str, ...] | None, Any]], meta: Any
) -> Iterator[tuple[tuple[str, ...] | None, Any]]:
    """Rows with the cells of a row-aligned ``meta`` block (OpenScale) behind their own."""
    fields = meta.get("fields") if isinstance(meta, Mapping) else None
    values = meta.get("values") if isinstance(meta, Mapping) else None
    if not isinstance(fields, list) or not isinstance(values, list) or len(values) != len(rows):
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
    row = {name: _token(cell, name, side) for name, cell in pairs if name in side.wanted}
    for name in side.required:
        if name not in row:
            raise RejectedRecord(Reason.MISSING_FEATURE, name)
    return row


def _token(cell: Any, name: str, side: Side) -> Token:
    if name not in side.arrays or cell is None:
        return _scalar(cell, name)
    if isinstance(cell, str):
        cell = _spelled_out(cell)
    return [_scalar(element, name) for element in cell] if isinstance(cell, list) else [_scalar(cell, name)]


def _scalar(cell: Any, name: str) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    raise RejectedRecord(Reason.TYPE_MISMATCH, name)


def _spelled_out(text: str) -> Any:
    """The vector that a CSV cell or a string holds as JSON, else the text."""
    try:
        cell = load_json(text)
    except RejectedRecord:
        return text
    return cell if isinstance(cell, list) else text


def as_rows(rows: list[Row], counts: list[int], side: Side) -> Rows:
    """Token rows → columns. A list where a scalar belongs was already refused, so types are plain."""
    columns = {}
    for name in side.wanted:
        if any(name in row for row in rows):
            kind = pa.list_(pa.string()) if name in side.arrays else pa.string()
            columns[name] = pa.array([row.get(name) for row in rows], kind)
    return Rows(columns, len(counts), np.array(counts, np.int64))
