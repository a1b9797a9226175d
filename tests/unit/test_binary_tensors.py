"""The binary tensor data extension, and Seldon's own messages."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from paylog.codecs import JSON, Side, json_template
from paylog.codecs.binary_tensors import in_json
from paylog.codecs.body import rows_of
from paylog.errors import Reason, RejectedRecord
from paylog.field import FieldType

SIDE = Side(
    ("age", "job"),
    ("age", "job"),
    ("age", "job"),
    types=(("age", FieldType.INTEGER), ("job", FieldType.STRING)),
)
UNSUPPORTED = Reason.UNSUPPORTED_BODY
MARK = "binary_data_size"
ROWS = [{"age": "27", "job": "clerk"}, {"age": "31", "job": "cook, \u00e9"}]


def packed(*tensors: tuple[str, str, bytes], **more: Any) -> tuple[bytes, int]:
    """A body in the extension's format with two rows a tensor, and the size of its JSON object."""
    described = [
        {"name": name, "shape": [2], "datatype": kind, "parameters": {MARK: len(data)}}
        for name, kind, data in tensors
    ]
    head = json.dumps({**more, "inputs": described}).encode()
    return head + b"".join(data for _, _, data in tensors), len(head)


def texts(*values: str) -> bytes:
    return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)


JOBS = ("job", "BYTES", texts("clerk", "cook, \u00e9"))
AGES = np.array([27, 31])


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        *((f"INT{8 * size}", AGES.astype(f"<i{size}").tobytes()) for size in (1, 2, 4, 8)),
        *((f"UINT{8 * size}", AGES.astype(f"<u{size}").tobytes()) for size in (1, 2, 4, 8)),
        *((f"FP{8 * size}", AGES.astype(f"<f{size}").tobytes()) for size in (2, 4, 8)),
        ("BF16", (AGES.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()),
    ],
)
def test_every_datatype(kind: str, data: bytes) -> None:
    body, size = packed(("age", kind, data), JOBS)
    for hint in (size, None, 3, size + 1, 10**9):
        rows = rows_of(in_json(body, hint), JSON, SIDE)
        assert [{**row, "age": str(int(float(str(row["age"]))))} for row in rows] == ROWS


def test_floats_keep_their_precision_and_nan_is_null() -> None:
    data = np.array([1 / 3, np.nan], "<f8").tobytes()
    rows = rows_of(in_json(packed(("age", "FP64", data), JOBS)[0]), JSON, SIDE)
    assert [row["age"] for row in rows] == [repr(1 / 3), None]
    body, _ = packed(("age", "FP32", np.array([0.1, 0.5], "<f4").tobytes()), JOBS)
    assert float(str(rows_of(in_json(body), JSON, SIDE)[0]["age"])) == float(np.float32(0.1))


def test_json_and_binary_tensors_in_one_body() -> None:
    head = {
        "id": "\u00e9",
        "inputs": [
            {"name": "age", "shape": [2], "datatype": "INT64", "data": [27, 2**60]},
            {"name": "job", "shape": [2], "datatype": "BYTES", "parameters": {MARK: len(JOBS[2])}},
        ],
    }
    body = json.dumps(head, ensure_ascii=False).encode() + JOBS[2]
    assert [row["age"] for row in rows_of(in_json(body), JSON, SIDE)] == ["27", str(2**60)]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_sizes_that_do_not_add_up_are_refused(cut: int) -> None:
    body, size = packed(("age", "INT64", AGES.astype("<i8").tobytes()), JOBS)
    for broken in (body[:-cut], body + b"x" * cut, body[:size], body[cut:], b"{" * 100_000):
        with pytest.raises(RejectedRecord) as caught:
            in_json(broken, size)
        assert caught.value.reason is Reason.UNSUPPORTED_BODY


def test_a_text_that_is_no_utf8_is_refused() -> None:
    body, _ = packed(("age", "INT64", AGES.astype("<i8").tobytes()), ("job", "BYTES", b"\1\0\0\0\xff" * 2))
    with pytest.raises(RejectedRecord) as caught:
        in_json(body)
    assert caught.value.reason is Reason.INVALID_UTF8


TABLE = [[27, "clerk"], [31, "cook, \u00e9"]]
FLAT = [cell for row in TABLE for cell in row]


@pytest.mark.parametrize(
    "message",
    [
        {"data": {"names": ["age", "job"], "ndarray": TABLE}, "meta": {}},
        {"data": {"names": [], "ndarray": TABLE}},
        {"data": {"ndarray": TABLE}},
        {"data": {"names": ["job", "age"], "ndarray": [row[::-1] for row in TABLE]}},
        {"data": {"names": ["age", "job"], "tensor": {"shape": [2, 2], "values": FLAT}}},
        {"jsonData": {"instances": TABLE}},
        {"jsonData": {"data": {"ndarray": TABLE}}},
        {"strData": json.dumps({"fields": ["age", "job"], "values": TABLE})},
    ],
)
def test_seldon_messages(message: dict[str, Any]) -> None:
    body = json.dumps(message, ensure_ascii=False).encode()
    assert rows_of(body, JSON, SIDE) == ROWS
    template = json_template.learn(body, JSON, SIDE)
    if "ndarray" in message.get("data", {}):
        assert template is not None
        rows, odd = json_template.decode([body, body], template, JSON, SIDE)
        assert rows is not None
        assert not odd.any()
        assert rows.columns["job"].to_pylist() == ["clerk", "cook, \u00e9"] * 2


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"data": {"names": ["age", "job"], "tensor": {"shape": [2], "values": FLAT}}}, UNSUPPORTED),
        ({"data": {"names": ["age", "job"], "tensor": {"values": FLAT}}}, UNSUPPORTED),
        ({"data": {"names": ["age"], "ndarray": TABLE}}, Reason.COLUMN_COUNT_MISMATCH),
        ({"data": {"tftensor": {}}}, UNSUPPORTED),
        ({"binData": "AAAA"}, UNSUPPORTED),
        ({"strData": "hello"}, Reason.MALFORMED_JSON),
    ],
)
def test_seldon_messages_that_are_refused(message: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(RejectedRecord) as caught:
        rows_of(json.dumps(message).encode(), JSON, SIDE)
    assert caught.value.reason is reason


def test_a_row_whose_columns_are_called_like_seldons_members_stays_a_row() -> None:
    side = Side(("strData",), ("strData",), ("strData",))
    assert rows_of(b'{"strData": "hello", "meta": 1}', JSON, side) == [{"strData": "hello"}]
