"""V2 bodies with the binary tensor data extension → the same body in JSON.

The body is a JSON object, then the bytes of each tensor whose parameters have a ``binary_data_size``,
in their order: little-endian, row-major, BYTES with 4 bytes of length before each element. Where the
object ends, an HTTP header says (``Inference-Header-Content-Length``); KServe's logger notes that of
the request only, so that its value is no more than a hint: it has to fit the sizes.

Source: the extension's specification (KServe, Triton).
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np

from paylog.codecs.tensors import HOLDERS
from paylog.errors import Reason, RejectedRecord

MARK = b'"binary_data_size"'
_FAILURES = (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TENSORS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_DTYPES = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    "BOOL": "?",
}


def in_json(body: bytes, header_size: int | None = None) -> bytes:
    """The body without binary data.

    :param header_size: bytes of the JSON object, if that was noted.
    :raises RejectedRecord: ``UNSUPPORTED_BODY`` where sizes do not add up, ``INVALID_UTF8``.
    """
    for size in dict.fromkeys((header_size, _object_size(body))):
        if size is None or not 0 < size <= len(body):
            continue
        try:
            return _unpacked(body[:size], body[size:])
        except UnicodeDecodeError:
            raise RejectedRecord(Reason.INVALID_UTF8) from None
        except _FAILURES:
            continue
    raise RejectedRecord(Reason.UNSUPPORTED_BODY)


def _object_size(body: bytes) -> int | None:
    """Where the JSON object at the head of the body ends; bytes are counted, so Latin-1 will do."""
    try:
        return json.JSONDecoder(strict=False).raw_decode(body.decode("latin-1"))[1]
    except (ValueError, RecursionError):
        return None


def _unpacked(head: bytes, data: bytes) -> bytes:
    """Raises one of ``_FAILURES`` where head and data do not fit together."""
    document = _MEMBERS.decode(head)
    at = 0
    for holder in HOLDERS:
        if holder not in document:
            continue
        tensors = _TENSORS.decode(document[holder])
        for tensor in tensors:
            parameters: dict[str, Any] = msgspec.json.decode(tensor.get("parameters", b"{}"))
            if (size := parameters.get("binary_data_size")) is not None:
                cells = _cells(msgspec.json.decode(tensor["datatype"]), data[at : at + size])
                tensor["data"] = msgspec.Raw(msgspec.json.encode(cells))
                at += size
        document[holder] = msgspec.Raw(msgspec.json.encode(tensors))
    if at != len(data) or not at:
        raise ValueError("the tensors' sizes do not add up")
    return msgspec.json.encode(document)


def _cells(datatype: str, data: bytes) -> list[Any]:
    if datatype == "BYTES":
        return _texts(data)
    if datatype == "BF16":  # the upper half of a float32
        wide = np.frombuffer(data, "<u2").astype("<u4") << 16
        return list(wide.view("<f4").tolist())
    return list(np.frombuffer(data, _DTYPES[datatype]).tolist())


def _texts(data: bytes) -> list[str]:
    texts, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise ValueError("a text is longer than its tensor")
        texts.append(data[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return texts
