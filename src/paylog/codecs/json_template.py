"""JSON bodies that differ only in their rows: cut out the rows, which are then nearly CSV.

``{"fields":[…],"values":[[…],[…]]}``, ``{"instances":[{"features":[…]}]}`` and JSON lines of
``{"features":[…]}`` all are a fixed head, rows of scalars with a fixed separator, and a fixed
tail. A JSON string without escapes is a quoted CSV cell, an unquoted ``null`` is null. Whatever
does not fit that is irregular and left to ``codecs.body``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec
import numpy as np

from paylog.codecs import Bodies, Mask, MediaType, Rows, Side
from paylog.codecs.body import load_json, rows_of
from paylog.codecs.csv_body import csv_rows
from paylog.errors import RejectedRecord

_VALUES = re.compile(rb'"(?:values|ndarray)"\s*:\s*\[\s*\[\s*')
_FIRST_ROW = re.compile(rb"\[\s*(?=[^\s\[{])")
_ROW_OPENING = re.compile(rb'(\{\s*"features"\s*:\s*)?\[\s*$')
_FIELDS = re.compile(rb'"(?:fields|names)"\s*:\s*(\[[^\]]*\])')
_META = re.compile(rb',\s*"meta"\s*:\s*\{[^\[\]]*\}\s*\}\s*\Z')  # one without rows
_TAIL = b"]} \t\r\n"
_SPACES = (b", ", b" ,", b"\t", b" \x1e", b"\x1e ", b" \x1d", b"\x1d ")
_NOT_CSV = (b"\\", b"[", b"]", b"{", b"}", b"\x1f", b"\n", b"\r")


@dataclass(frozen=True, slots=True)
class Template:
    """Head up to the first cell, tail from the last row's ``]``, what may stand between two rows."""

    head: bytes
    tail: bytes
    separators: tuple[bytes, ...]
    names: tuple[str, ...]


def learn(body: bytes, media: MediaType, side: Side) -> Template | None:
    """The template of a body, or None when its rows are not lists of scalars.

    The head holds the columns' names, so two bodies of one template have the same columns.
    """
    head = _VALUES.search(body) or _FIRST_ROW.search(body)
    inner = _META.sub(b"", body).rstrip(_TAIL)
    opening = head and _ROW_OPENING.search(body[: head.end()])
    if not head or not opening or not head.end() < len(inner) < len(body):
        return None
    fields = _FIELDS.search(body[: head.end()])
    try:
        names = tuple(map(str, load_json(fields.group(1)))) if fields else ()
    except RejectedRecord:
        return None
    closing = b"]}" if opening.group(1) else b"]"
    commas = (b",", b", ") if body[: opening.start()].strip() else (b"\n",)  # rows of a list, or lines
    separators = tuple(closing + comma + opening.group() for comma in commas)
    template = Template(body[: head.end()], body[len(inner) :], separators, names or side.positional)
    return template if _reads_alike(template, body, media, side) else None


def _reads_alike(template: Template, body: bytes, media: MediaType, side: Side) -> bool:
    """Whether the template gives what the one-by-one codec gives."""
    if len(set(template.names)) != len(template.names) or side.arrays.intersection(template.names):
        return False
    rows, irregular = decode([body], template, media, side)
    try:
        reference = rows_of(body, media, side)
    except RejectedRecord:
        return False
    if rows is None or irregular.any():
        return False
    columns = {name: column.to_pylist() for name, column in rows.columns.items()}
    return all(set(row) == set(columns) for row in reference) and columns == {
        name: [row[name] for row in reference] for name in columns
    }


def decode(bodies: Bodies, template: Template, media: MediaType, side: Side) -> tuple[Rows | None, Mask]:
    """The rows of all bodies that fit the template, and which did not (irregular)."""
    head, tail = len(template.head), len(template.tail)
    irregular = np.zeros(len(bodies), bool)
    if {body[:head] for body in bodies} != {template.head}:
        irregular |= [body[:head] != template.head for body in bodies]
    if {body[-tail:] for body in bodies} != {template.tail}:
        irregular |= [body[-tail:] != template.tail for body in bodies]
    rows = [body[head:-tail] for body in bodies]
    text = b"\x1e".join(rows)
    if text.count(b"\x1e") != len(rows) - 1:
        return None, np.ones(len(bodies), bool)
    for separator in template.separators:
        text = text.replace(separator, b"\x1d")
    if irregular.any() or any(mark in text for mark in _NOT_CSV):
        texts = text.split(b"\x1e")
        irregular |= [not row or any(mark in row for mark in _NOT_CSV) for row in texts]
        text = b"\x1e".join(row for row, odd in zip(texts, irregular, strict=True) if not odd)
    return _parsed(text, template, media, side, irregular)


def _parsed(
    text: bytes, template: Template, media: MediaType, side: Side, irregular: Mask
) -> tuple[Rows | None, Mask]:
    """``text``: bodies apart by 1E, their rows by 1D."""
    none = None, np.ones(len(irregular), bool)
    lines: bytes | None = text.replace(b"\x1e", b"\n").replace(b"\x1d", b"\n")
    spaced = b" " in (text[:1], text[-1:]) or any(space in text for space in _SPACES)
    if lines and (spaced or not media.checked):
        lines = _minified(lines)
    if not text or lines is None:
        return none
    counts = None
    if b"\x1d" in text:
        counts = np.array([1 + body.count(b"\x1d") for body in text.split(b"\x1e")], np.int64)
    bodies = int((~irregular).sum())
    table, odd = csv_rows(lines, template.names, nulls=("null",))
    if table is None or odd or table.num_rows != (bodies if counts is None else int(counts.sum())):
        return none
    wanted = [name for name in template.names if name in side.wanted]
    columns = {name: table[name].combine_chunks() for name in wanted}
    return Rows(columns, bodies, counts), irregular


def _minified(lines: bytes) -> bytes | None:
    """The rows without white space between cells; None when they are not JSON scalars."""
    document = b"[[" + lines.replace(b"\n", b"],[") + b"]]"
    try:
        return bytes(msgspec.json.format(document, indent=-1))[2:-2].replace(b"],[", b"\n")
    except msgspec.MsgspecError:
        return None
