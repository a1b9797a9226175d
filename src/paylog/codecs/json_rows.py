"""JSON bodies with a list of rows: the rows of all bodies, a line each, for the native scanner.

``dataframe_split``, ``dataframe_records``, ``instances``, ``predictions``, ``inputs``, a list by itself, and
JSON lines; a row is an object, a list or a scalar. The shape is learned from one body. A body with a row
that the scanner calls irregular is irregular whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from paylog.codecs import JSON_LINES, NESTING, Bodies, Mask, MediaType, Rows, Side
from paylog.codecs.body import load_json
from paylog.codecs.json_scanned import LineScanner
from paylog.codecs.json_typed import FAILURES
from paylog.engines.patterns import NoPattern, SidePattern
from paylog.errors import RejectedRecord
from paylog.native import library
from paylog.native.pattern import Pattern

_HOLDERS = ("dataframe_split", "dataframe_records", "instances", "predictions", "inputs")
_RAWS: Any = list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class RowList:
    """How bodies hold their rows.

    :param decoder: of one body; None for JSON lines.
    :param rows: the rows of a decoded body, or None when it is not of the shape.
    :param scanner: of the rows.
    """

    decoder: msgspec.json.Decoder[Any] | None
    rows: Callable[[Any], list[Any] | None]
    scanner: LineScanner


def learn(body: bytes, media: MediaType, side: Side) -> RowList | None:
    """The shape of a body, or None when it is none of those known here, or there is no scanner."""
    if library() is None:
        return None
    try:
        if media == JSON_LINES:
            document = load_json(body.splitlines()[0])
            return RowList(None, _lines, _scanner(document, side.positional, side))
        return _learned(body, load_json(body), side)
    except (NoPattern, RejectedRecord, IndexError, *FAILURES):
        return None


def _learned(body: bytes, document: Any, side: Side) -> RowList | None:
    if isinstance(document, list) and document:
        return RowList(
            msgspec.json.Decoder(_RAWS), lambda rows: rows, _scanner(document[0], side.positional, side)
        )
    if not isinstance(document, dict):
        return None
    holder = next((key for key in NESTING if isinstance(document.get(key), list | dict)), "")
    if holder not in _HOLDERS or holder in side.wanted:
        return None
    if holder == "dataframe_split" and isinstance(document[holder], dict):
        return _split(body, document[holder], side)
    if holder == "dataframe_split" or not isinstance(rows := document[holder], list) or not rows:
        return None
    decoder = msgspec.json.Decoder(_body(holder, _RAWS))
    return RowList(decoder, lambda one: one.c0, _scanner(rows[0], side.positional, side))


def _split(body: bytes, table: dict[str, Any], side: Side) -> RowList | None:
    """Rows with their columns' names above them, which must be the same in every body."""
    if not isinstance(rows := table.get("data"), list) or not rows or isinstance(rows[0], dict):
        return None
    fields: list[Any] = [("data", _RAWS), ("columns", msgspec.Raw, msgspec.Raw())]
    decoder = msgspec.json.Decoder(_body("dataframe_split", msgspec.defstruct("Split", fields, gc=False)))
    names = bytes(decoder.decode(body).c0.columns)
    declared = load_json(names) if names else None
    columns = tuple(map(str, declared)) if isinstance(declared, list) else side.positional
    if len(set(columns)) != len(columns):
        return None

    def of_names(one: Any) -> list[Any] | None:
        split = one.c0
        return split.data if bytes(split.columns) == names else None

    return RowList(decoder, of_names, _scanner(rows[0], columns, side))


def _body(holder: str, kind: Any) -> Any:
    """A body that holds its rows there, and nowhere else that is looked at before."""
    above = NESTING[: NESTING.index(holder)] if kind is _RAWS else set(NESTING) - {holder}
    attributes: list[Any] = [("c0", kind), *((f"c{i}", None, None) for i, _ in enumerate(above, 1))]
    names = {f"c{i}": name for i, name in enumerate((holder, *above))}
    return msgspec.defstruct("Body", attributes, rename=names, gc=False)


def _scanner(row: Any, names: tuple[str, ...], side: Side) -> LineScanner:
    """Of rows like this one. Raises NoPattern."""
    pattern = SidePattern(side, "")
    root = pattern.of_row(row, names)
    return LineScanner(Pattern(root, pattern.slots, {}))


def _lines(body: Any) -> list[Any] | None:
    if b"\r" in body:
        return None
    lines = body.split(b"\n") if b"\n" in body else [body]
    return [line for line in lines if line.strip()]


def decode(bodies: Bodies, shape: RowList, media: MediaType, side: Side) -> tuple[Rows | None, Mask]:
    """The rows of all bodies of the shape, and which were not (irregular)."""
    lines, counts, irregular = _listed(bodies, shape)
    text = b"\n".join(lines)
    if text.count(b"\n") >= max(len(lines), 1):  # white space: a JSON string holds no line end as such
        text = b"\n".join(line.replace(b"\n", b" ") for line in lines)
    if not text:
        return None, np.ones(len(bodies), bool)
    found = shape.scanner.scan(text)
    if len(found.lines) + len(found.left) != len(lines):
        return None, np.ones(len(bodies), bool)
    owners = np.repeat(np.arange(len(counts)), counts)
    good = np.ones(len(counts), bool)
    good[owners[[line for line, _, _ in found.left]]] = False
    columns = {name: found.columns[slot] for name, slot in shape.scanner.pattern.requests.items()}
    rows = Rows(columns, len(counts), None if bool((counts == 1).all()) else counts)
    if not good.all():
        keep = pa.array(good[owners[found.lines]])
        columns = {name: column.filter(keep) for name, column in columns.items()}
        rows = Rows(columns, int(good.sum()), counts[good])
        irregular[np.flatnonzero(~irregular)[~good]] = True
    return rows, irregular


def _listed(bodies: Bodies, shape: RowList) -> tuple[list[bytes], npt.NDArray[np.int64], Mask]:
    """The rows of the bodies that are of the shape, how many each has, and which bodies are not."""
    if shape.decoder is None:
        text = b"\n".join(bodies)
        if text.count(b"\n") == len(bodies) - 1 and b"\r" not in text:
            return list(bodies), np.ones(len(bodies), np.int64), np.zeros(len(bodies), bool)
    per_body = [_rows_of(body, shape) for body in bodies]
    kept = [rows for rows in per_body if rows is not None]
    counts = np.fromiter(map(len, kept), np.int64, len(kept))
    lines = list(map(bytes, chain.from_iterable(kept)))
    return lines, counts, np.array([rows is None for rows in per_body], bool)


def _rows_of(body: bytes, shape: RowList) -> list[Any] | None:
    try:
        return shape.rows(shape.decoder.decode(body) if shape.decoder else body)
    except FAILURES:
        return None
