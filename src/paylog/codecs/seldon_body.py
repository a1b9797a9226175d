"""Bodies of Seldon Core's own protocol → rows: the reference.

``{"data": {"names": [..], "ndarray": [[..]]}}``, ``{"data": {"names": [..], "tensor": {"shape": [..],
"values": [..]}}}``, ``{"jsonData": ..}``, ``{"strData": ".."}``, which may hold JSON; ``meta`` is passed
over. The first dimension is the batch. Source: Seldon Core v1's SeldonMessage and its request logger.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from paylog.codecs import Side
from paylog.errors import Reason, RejectedRecord

Table = list[tuple[tuple[str, ...] | None, Any]]
_MEMBERS = frozenset({"data", "jsonData", "strData", "binData", "meta", "status"})
_INNER = ("jsonData", "strData")


def is_seldon_message(document: Any, side: Side) -> bool:
    """Whether a parsed body is a SeldonMessage, and not a row whose columns are called like its members."""
    if not isinstance(document, Mapping) or not _MEMBERS.issuperset(document):
        return False
    return set(document).isdisjoint(side.wanted)


def inner_document(message: Mapping[str, Any]) -> Any:
    """What ``jsonData`` or ``strData`` holds, None without. Raises RejectedRecord for ``binData``."""
    if "binData" in message:
        raise RejectedRecord(Reason.UNSUPPORTED_BODY)
    return next((message[key] for key in _INNER if message.get(key) is not None), None)


def seldon_rows(message: Mapping[str, Any]) -> Table | None:
    """Rows as (names or None, cells) of a message's ``data``; None where that is none of Seldon's.

    Raises RejectedRecord (``UNSUPPORTED_BODY``).
    """
    data = message.get("data")
    if not isinstance(data, Mapping):
        return None
    if isinstance(array := data.get("ndarray"), list):
        rows = array
    elif isinstance(tensor := data.get("tensor"), Mapping):
        rows = _rows_of(tensor)
    else:
        raise RejectedRecord(Reason.UNSUPPORTED_BODY)
    names = data.get("names")
    named = tuple(map(str, names)) if isinstance(names, list) and names else None
    return [(named, row if isinstance(row, list | dict) else [row]) for row in rows]


def _rows_of(tensor: Mapping[str, Any]) -> list[list[Any]]:
    try:
        shape = [int(size) for size in tensor["shape"]]
        values = list(tensor["values"])
    except (KeyError, TypeError, ValueError):
        raise RejectedRecord(Reason.UNSUPPORTED_BODY) from None
    if not shape or min(shape) < 1 or prod(shape) != len(values):
        raise RejectedRecord(Reason.UNSUPPORTED_BODY)
    width = prod(shape[1:])
    return [values[i * width : (i + 1) * width] for i in range(shape[0])]
