"""Request bodies: bounded, decompressed, and payload records in them as NDJSON."""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from paylog.errors import InvalidInput

MAX_BODY = 64 * 1024 * 1024
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_NOT_JSON = (b"NaN", b"Infinity")


class BodyTooLarge(InvalidInput):
    """A body over the limit, as sent or decompressed."""


async def read(request: Request, most: int | None = None) -> bytes:
    """The body, decompressed.

    :param most: bytes, as sent and decompressed; 64 MiB if it is left out.
    :raises BodyTooLarge: there are more.
    :raises InvalidInput: it is not the gzip that it says it is.
    """
    most = MAX_BODY if most is None else most
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise BodyTooLarge(f"the body is larger than {most >> 10:,} KiB: send it in parts")
    if request.headers.get("content-encoding", "").lower() != "gzip":
        return bytes(body)
    return await run_in_threadpool(_inflated, bytes(body), most)


def _inflated(body: bytes, most: int) -> bytes:
    inflate = zlib.decompressobj(wbits=31)
    try:
        text = inflate.decompress(body, most + 1)
    except zlib.error:
        raise InvalidInput("the body says it is gzip, but cannot be decompressed") from None
    if len(text) > most:
        raise BodyTooLarge(f"the body is larger than {most >> 10:,} KiB decompressed: send it in parts")
    if not inflate.eof:
        raise InvalidInput("the gzip body ends too soon")
    return text


def document(body: bytes) -> Any:
    """The JSON body; NaN and infinities, which IBM's v2 SDK sends, are allowed.

    :raises InvalidInput: it is not JSON.
    """
    try:
        return json.loads(body) if body else {}
    except (ValueError, RecursionError):
        raise InvalidInput("the body is not JSON") from None


def records(body: bytes) -> Sequence[bytes]:
    """The elements of a JSON array, each on one line, as they were sent; NaN and infinities become null.

    :raises InvalidInput: the body is no JSON array.
    """
    if any(word in body for word in _NOT_JSON):
        parsed = document(body)
        if not isinstance(parsed, list):
            raise InvalidInput("the body is not a JSON array of records")
        return [msgspec.json.encode(record) for record in parsed]
    try:
        raws = _RAW_LIST.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise InvalidInput("the body is not a JSON array of records") from None
    if b"\n" not in body and b"\r" not in body:
        return raws
    return [bytes(raw).replace(b"\n", b" ").replace(b"\r", b" ") for raw in raws]


def csv_rows(
    body: bytes, *, header: bool, delimiter: str, names: list[str], skip: int = 0, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of a CSV body by column; an empty cell is null, ``[0.2,0.8]`` a list.

    :param names: of the columns, where there is no header.
    :raises InvalidInput: a delimiter that CSV cannot have, not UTF-8, or a row with another number of
        cells than there are columns.
    """
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), delimiter=delimiter)
        rows = [row for row in lines if row]
    except (UnicodeDecodeError, csv.Error):
        raise InvalidInput("the body is not CSV in UTF-8") from None
    except (TypeError, ValueError):
        raise InvalidInput("the delimiter of CSV is one character, and no end of line") from None
    if header and rows:
        names, rows = rows[0], rows[1:]
    for number, row in enumerate(rows[skip : None if limit is None else skip + limit], 1):
        if len(row) != len(names):
            raise InvalidInput(f"CSV row {number} has {len(row)} cells, there are {len(names)} columns")
        yield {name: _cell(cell) for name, cell in zip(names, row, strict=True)}


def _cell(cell: str) -> Any:
    if cell.startswith("["):
        try:
            return msgspec.json.decode(cell)
        except msgspec.MsgspecError:
            return cell
    return cell or None
