"""What the answers of a service to questions mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from paylog.connections import Connection
from paylog.errors import AccessDenied, ConfigurationError
from paylog.openscale.service import Busy, Forgotten, Service
from paylog.subscription.delivery import Delivery

HERE = Connection("service", "paylog_openscale", "http://127.0.0.1:1", extra={"token": "t"})


def service(answer: httpx.Response | Callable[[httpx.Request], httpx.Response]) -> Service:
    given = answer if callable(answer) else lambda request: answer
    return Service(HERE, Delivery(data_set="d"), httpx.MockTransport(given))


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        *((status, Busy) for status in (408, 425, 429, 500, 503)),
        *((status, AccessDenied) for status in (401, 403)),
        *((status, ConfigurationError) for status in (400, 404, 405, 410, 414)),
    ],
)
def test_a_question_that_is_wrong_is_not_asked_again(status: int, meaning: type[Exception]) -> None:
    with service(httpx.Response(status)) as asked, pytest.raises(meaning):
        asked.count()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("²", None), ("٣", None), ("1.²", None), ("", None), ("soon", None)],
)
def test_retry_after_is_a_number_or_nothing(header: str, seconds: float | None) -> None:
    answer = httpx.Response(429, headers=[(b"Retry-After", header.encode("utf-8"))])
    with service(answer) as asked, pytest.raises(Busy) as busy:
        asked.count()
    assert busy.value.after == seconds
    latin = httpx.Response(429, headers=[(b"Retry-After", "²".encode("latin-1"))])
    with service(latin) as asked, pytest.raises(Busy):
        asked.count()


def test_a_request_that_the_service_does_not_know_is_forgotten() -> None:
    with service(httpx.Response(404)) as asked, pytest.raises(Forgotten):
        asked.state("r-1")


def _json(body: Any) -> httpx.Response:
    return httpx.Response(200, json=body)


def test_the_state_of_a_request() -> None:
    with service(_json({"state": "Active"})) as asked:
        assert asked.state("r-1").state == "active"


def test_ids_that_a_filter_cannot_hold_are_looked_for_by_their_time() -> None:
    """The service keeps times in whole milliseconds and answers two records a page."""
    stored = ["a;1-1", "b,2-1", "other-1"]
    asked: list[httpx.QueryParams] = []

    def answer(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        asked.append(query)
        ids = ["plain-1"] if "filter" in query else stored[(at := int(query["offset"])) : at + 2]
        return _json({"records": [{"entity": {"values": {"scoring_id": one}}} for one in ids]})

    moment = datetime(2024, 1, 19, 19, 27, 0, 250999, tzinfo=UTC)
    with service(answer) as there:
        found = there.present(["a;1-1", "plain-1", "b,2-1", "c;3-1"], (moment, moment))
    assert found & {"a;1-1", "plain-1", "b,2-1", "c;3-1"} == {"a;1-1", "plain-1", "b,2-1"}
    assert [query["filter"] for query in asked if "filter" in query] == ["scoring_id:in:plain-1"]
    assert all(query["start"] <= "2024-01-19T19:27:00.250000Z" for query in asked if "start" in query)


@pytest.mark.parametrize(("host", "compressed"), [("localhost.", False), ("elsewhere", True)])
def test_what_stays_on_this_machine_is_not_compressed(host: str, compressed: bool) -> None:
    posted: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        posted.append(request)
        return httpx.Response(202, json={"state": "active"})

    connection = replace(HERE, host=f"https://{host}")
    with Service(connection, Delivery(data_set="d"), httpx.MockTransport(answer)) as there:
        there.post(b"[]")
    assert ("content-encoding" in posted[0].headers) is compressed
