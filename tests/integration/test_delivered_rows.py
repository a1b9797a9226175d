"""The rows of a batch as a delivery reads them, and how their requests go over the link."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from openscale_server import serving
from payload_blocks import WINDOW, subscription

from paylog.connections import Connection
from paylog.data_mart import DataMart, delivered_rows
from paylog.data_mart.delivered_rows import PayloadRow, Place
from paylog.decode import Decoder
from paylog.openscale.service import Service
from paylog.records import CaptureObject
from paylog.subscription.delivery import Delivery

FIELDS = (
    {"name": "Age", "type": "integer"},
    {"name": "Sex", "type": "string"},
    {"name": "prediction", "type": "string", "role": "prediction"},
)
SUBSCRIPTION = subscription(fields=FIELDS)
SIDES = ["Age", "Sex"], ["prediction"]
OBJECTS = ((0, 20), (20, 22), (22, 24), (24, 34), (34, 35))
"""First and last record of each; two rows a record, and behind each record one that is rejected."""


def record(number: int) -> bytes:
    request = {"fields": ["Age", "Sex"], "values": [[number, "M"], [1, None]]}
    response = {"fields": ["prediction"], "values": [["Risk"], ["No Risk"]]}
    times = {"scoring_timestamp": f"2024-01-19T19:27:{59 - number:02}Z", "response_time": number}
    return json.dumps(
        {"scoring_id": f"call-{number}", **times, "request": request, "response": response}
    ).encode()


def loaded(data_mart: DataMart) -> int:
    """The receipt of one batch with all objects. Its records go back in time."""
    data_mart.ensure(SUBSCRIPTION)
    decoder, now = Decoder(SUBSCRIPTION), datetime.now(UTC)
    with data_mart.load(SUBSCRIPTION, "b", "r", WINDOW) as load:
        for i, (start, end) in enumerate(OBJECTS):
            data = b"\n{}\n".join(map(record, range(start, end)))
            with load.object(CaptureObject(f"file:/{i}", f"{i}.jsonl", "v", len(data), now)) as target:
                assert target is not None
                for block in decoder.blocks(target.item, iter([data])):
                    target.add(block)
        return load.receipt().receipt_id


@pytest.mark.parametrize("rows", [1, 4, 10, 25])
def test_a_batch_that_is_read_in_slices_has_the_same_rows_in_the_same_order(
    data_mart: DataMart, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    receipt_id = loaded(data_mart)

    def read(between: tuple[Place, Place] | None = None) -> list[PayloadRow]:
        with data_mart.delivery.rows("credit", receipt_id, SIDES, between) as rows:
            return list(rows)

    whole = read()
    assert [row.scoring_id for row in whole] == [f"call-{i}-{n}" for i in range(35) for n in (1, 2)]
    assert [row.place for row in whole] == sorted(row.place for row in whole)
    monkeypatch.setattr(delivered_rows, "_ROWS_A_SLICE", rows)
    assert read() == whole
    for first, last in ((0, 70), (5, 6), (13, 47), (38, 50), (69, 70)):
        assert read((whole[first].place, whole[last - 1].place)) == whole[first:last]


def test_an_object_out_of_the_order_of_time_is_read_in_few_slices(
    data_mart: DataMart, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = [(23 * number) % 50 for number in range(50)]
    monkeypatch.setattr(sys.modules[__name__], "OBJECTS", ((0, 50),))
    monkeypatch.setattr(sys.modules[__name__], "record", lambda number, plain=record: plain(shuffled[number]))
    receipt_id = loaded(data_mart)
    monkeypatch.setattr(delivered_rows, "_ROWS_A_SLICE", 4)
    asked: list[str] = []
    plain = delivered_rows._opened
    monkeypatch.setattr(
        delivered_rows, "_opened", lambda link, query: asked.append(query) or plain(link, query)
    )
    with data_mart.delivery.rows("credit", receipt_id, SIDES) as rows:
        assert [row.base for row in rows] == [f"call-{shuffled[i // 2]}" for i in range(100)]
    assert len(asked) <= 9


def test_a_body_in_parts_is_sent_again_with_a_fresh_token() -> None:
    """Refused once, when most of it was not read yet."""
    bodies: list[bytes] = []
    tokens = iter(["stale", "fresh"])

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = dict(scope["headers"])
        answer, status = b"{}", 202
        if scope["path"].endswith("/validateAuth"):
            answer = json.dumps({"accessToken": next(tokens), "expires_in": 3600}).encode()
        else:
            bodies.append(body)
            assert int(headers[b"content-length"]) == len(body)
            assert b"transfer-encoding" not in headers
            status = 401 if headers[b"authorization"] == b"Bearer stale" else 202
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})

    sent = b"[" + b",".join(b"%d" % i for i in range(100_000)) + b"]"
    with serving(endpoint) as address:
        extra = {"auth": "preauth", "instance_id": "i"}
        connection = Connection(
            "service", "paylog_openscale", address, password="a-key-for-tests-only", extra=extra
        )
        with Service(connection, Delivery(data_set="d")) as service:
            service.post(sent)
    assert bodies == [sent, sent]


def test_rows_that_are_left_alone_end_before_their_sessions(
    data_mart: DataMart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice is being made ready when the delivery gives up."""
    receipt_id, ended = loaded(data_mart), list[str]()
    opened, closed = delivered_rows._opened, psycopg.Connection.close

    def slow(*arguments: Any) -> Any:
        time.sleep(0.2)
        cursor = opened(*arguments)
        ended.append("opened")
        return cursor

    def close(link: psycopg.Connection) -> None:
        ended.append("closed")
        closed(link)

    monkeypatch.setattr(delivered_rows, "_opened", slow)
    monkeypatch.setattr(delivered_rows, "_ROWS_A_SLICE", 10)
    monkeypatch.setattr(psycopg.Connection, "close", close)
    with suppress(KeyError), data_mart.delivery.rows("credit", receipt_id, SIDES) as rows:
        next(rows)
        ended.clear()
        raise KeyError
    assert ended[:3] == ["opened", "closed", "closed"]
