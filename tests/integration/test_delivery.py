"""Deliveries to a real ``paylog serve`` over a link on which things go wrong as scripted."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from openscale_server import serving
from payload_blocks import query

from paylog import posted
from paylog.client.data_mart import DataMartClient
from paylog.connections import Connection, parse
from paylog.data_mart import DataMart
from paylog.data_mart.deliveries import DeliveryState
from paylog.errors import AccessDenied, RetriableError
from paylog.openscale.crew import Delivered
from paylog.openscale.delivery import Deliverer
from paylog.openscale.records import RecordWriter
from paylog.openscale.service import Service
from paylog.serve import application
from paylog.serve.data_sets import data_set_id
from paylog.subscription import Subscription
from paylog.subscription.delivery import Delivery
from paylog.testing.faulty_link import Fault, FaultyLink
from paylog.testing.postgres import EmbeddedPostgres

KEY = "an-api-key-for-tests-only"
INSTANCE = "11111111-2222-3333-4444-555555555555"
WIRE = Path(__file__).parents[2] / "../shared/reference/openscale-wire"
RECORDS, ROWS = 60, 120


def document(**more: Any) -> dict[str, Any]:
    return {
        "id": "credit",
        "service_provider": "custom_machine_learning",
        "deployment": {"id": "credit-1"},
        "logs": {},
        "model_schema": {
            "fields": [
                {"name": "Age", "type": "integer"},
                {"name": "Sex", "type": "string"},
                {"name": "prediction", "type": "string", "role": "prediction"},
                {"name": "probability", "type": "array", "role": "probability"},
            ],
            "class_labels": ["No Risk", "Risk"],
        },
        "data_mart": {"connection": "here", "schema": "here"},
        **more,
    }


def _age(number: int, broken: int | None) -> int | str:
    return "?" if number == broken else number


def records(count: int = RECORDS, broken: int | None = None) -> bytes:
    """Two rows each; of record ``broken`` the first row does not fit."""
    return b"\n".join(
        json.dumps(
            {
                "scoring_id": f"call-{i}",
                "scoring_timestamp": f"2024-01-19T19:{i // 60:02}:{i % 60:02}.250Z",
                "request": {
                    "fields": ["Age", "Sex"],
                    "values": [["?" if i == broken else i, "M"], [1, None]],
                },
                "response": {
                    "fields": ["prediction", "probability"],
                    "values": [["Risk", [0.25, 0.75]], ["No Risk", [0.5, 0.5]]],
                },
                "response_time": i,
            }
        ).encode()
        for i in range(count)
    )


@dataclass
class Site:
    """A data mart with loaded rows, and a service with a data mart of its own."""

    mart: DataMart
    here: Connection
    there: Connection
    address: str
    receipt_id: int
    api: str

    def subscription(self, **settings: Any) -> Subscription:
        named = (
            {"data_set": data_set_id("there", "payload_logging")}
            if self.api == "v2"
            else {"api": "v1", "subscription": "there", "binding": "b"}
        )
        return Subscription.model_validate(
            document(
                deliver={
                    "rows": 10,
                    "patience": "20s",
                    "settle": timedelta(milliseconds=200),
                    "max_parallel": 3,
                    **named,
                    **settings,
                }
            )
        )

    def deliver(self, link: FaultyLink, **settings: Any) -> Delivered:
        subscription = self.subscription(**settings)
        assert subscription.deliver is not None
        extra = {"auth": "preauth", "instance_id": INSTANCE}
        connection = Connection("service", "paylog_openscale", self.address, password=KEY, extra=extra)
        with Service(connection, subscription.deliver, link) as service:
            told: list[int] = []
            deliverer = Deliverer(self.mart, subscription, service)
            done = deliverer.deliver(self.receipt_id, lambda confirmed, failed: told.append(confirmed))
        assert sum(told) == done.confirmed
        return done

    def stored(self) -> list[str]:
        rows = query(self.there, 'SELECT scoring_id FROM there."Payload_there" ORDER BY 1')
        return [row[0] for row in rows]

    def states(self) -> set[str]:
        return {str(entry.state) for entry in self.mart.delivery.of_receipt("credit", self.receipt_id)}


@pytest.fixture(params=["v2", "v1"])
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(empty_database: Connection, postgres: EmbeddedPostgres, api: str) -> Iterator[Site]:
    name = f"{empty_database.schema}_there"
    postgres.create_database(name)
    there = parse("there", postgres.url(name, "postgres"))
    client = DataMartClient(INSTANCE)
    client.use(there, "there")
    client.set_up()
    registered = Subscription.model_validate(document(id="there", data_mart={"schema": "there"}))
    client.mart.ensure(registered)
    with DataMart(empty_database, "here") as mart, serving(application(client, KEY)) as address:
        subscription = Subscription.model_validate(document())
        mart.setup()
        mart.ensure(subscription)
        receipt = posted.store(mart, subscription, records())
        yield Site(mart, empty_database, there, address, receipt.receipt_id, api)
    client.mart.close()
    postgres.drop_database(name)


def expected() -> list[str]:
    return sorted(f"call-{i}-{n}" for i in range(RECORDS) for n in (1, 2))


def test_every_row_is_confirmed_once_under_its_own_id(site: Site) -> None:
    link = FaultyLink()
    assert site.deliver(link) == Delivered(confirmed=ROWS)
    assert site.stored() == expected()
    assert site.states() == {DeliveryState.CONFIRMED}
    assert len(link.handled) == ROWS / 10
    again = FaultyLink()
    assert site.deliver(again) == Delivered()
    assert again.handled == []
    counts = site.mart.delivery.counts("credit", posted.RUN_ID)
    assert (counts.loaded, counts.confirmed, counts.failed, counts.open) == (ROWS, ROWS, 0, 0)


def test_other_chunks_do_not_post_confirmed_rows_again(site: Site) -> None:
    site.deliver(FaultyLink())
    other = FaultyLink()
    site.deliver(other, rows=7)
    assert other.handled == []


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_a_fault_at_any_request_loses_and_doubles_nothing(site: Site, fault: Fault) -> None:
    expired = fault is Fault.EXPIRED_TOKEN
    at = (0, 3, 6, 9) if expired else (0, 3, 4, 9)  # a fresh token is not refused
    script = [fault if i in at else Fault.NONE for i in range(16)]
    link = FaultyLink(script)
    assert site.deliver(link, max_parallel=1 if expired else 3) == Delivered(confirmed=ROWS)
    assert site.stored() == expected()
    assert site.states() == {DeliveryState.CONFIRMED}
    posts = [one for ids in link.handled for one in ids]
    assert len(posts) == len(set(posts)), "a record that the service had was posted again"
    if fault is Fault.EXPIRED_TOKEN:
        assert link.tokens >= 4


@pytest.mark.parametrize("api", ["v2"], indirect=True)
def test_ids_with_separators_of_filters_are_found_again(site: Site) -> None:
    odd = records(20).replace(b'"call-', b'"call,;')
    receipt = posted.store(site.mart, site.subscription(), odd)
    link = FaultyLink([Fault.DROPPED_AFTER] * 2)
    site = replace(site, receipt_id=receipt.receipt_id)
    assert site.deliver(link) == Delivered(confirmed=40)
    assert site.stored() == sorted(f"call,;{i}-{n}" for i in range(20) for n in (1, 2))
    posts = [one for ids in link.handled for one in ids]
    assert len(posts) == len(set(posts)) == 20, "a record that the service had was posted again"


def test_what_a_crash_left_open_is_asked_for_before_it_is_posted(site: Site) -> None:
    """One request was sent and stored, one was noted and never sent; then the process was killed."""

    class Killed(BaseException):
        pass

    class KillingLink(FaultyLink):
        def _passed_on(self, request: httpx.Request) -> httpx.Response:
            if len(self.handled) == 1:
                raise Killed
            super()._passed_on(request)
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            site.deliver(KillingLink(), max_parallel=1)
    entries = site.mart.delivery.of_receipt("credit", site.receipt_id)
    assert DeliveryState.POSTING in {entry.state for entry in entries}
    link = FaultyLink()
    site.deliver(link)
    assert site.stored() == expected()
    assert site.states() == {DeliveryState.CONFIRMED}


def test_a_request_that_was_noted_and_never_sent_is_posted(site: Site) -> None:
    """Killed between the note and the third request: what the service has of others is not taken for it."""

    class Killed(BaseException):
        pass

    class KillingLink(FaultyLink):
        def _passed_on(self, request: httpx.Request) -> httpx.Response:
            if len(self.handled) == 2:
                raise Killed
            return super()._passed_on(request)

    with pytest.raises(Killed):
        site.deliver(KillingLink(), max_parallel=1)
    link = FaultyLink()
    assert site.deliver(link).confirmed == ROWS - 20
    assert len(link.handled) == ROWS / 10 - 2
    assert site.stored() == expected()


@pytest.mark.parametrize("api", ["v2"], indirect=True)
@pytest.mark.parametrize("lost", [False, True])
def test_a_request_that_the_service_forgot_is_settled_by_its_records(site: Site, lost: bool) -> None:
    """It said 202 and where to ask; later it knows nothing of it. Its records are there, or are not."""

    class Forgetful(FaultyLink):
        forgotten, taken = 0, False

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if "/requests/" in request.url.path:
                self.forgotten += 1
                return httpx.Response(404, request=request)
            if request.method != "POST" or "/records" not in request.url.path or self.taken:
                return super().handle_request(request)
            self.taken = True
            if not lost:
                super().handle_request(request).read()
            headers = {"Location": "/x/requests/r"}
            return httpx.Response(202, json={"state": "preparing"}, headers=headers, request=request)

    link = Forgetful()
    assert site.deliver(link, max_parallel=1) == Delivered(ROWS)
    assert link.forgotten == 1
    assert site.stored() == expected()
    posts = [one for ids in link.handled for one in ids]
    assert len(posts) == len(set(posts)) == RECORDS


def test_the_service_away_for_long_is_tried_again_later(site: Site) -> None:
    with pytest.raises(RetriableError, match="next attempt"):
        site.deliver(FaultyLink([Fault.NO_CONNECTION] * 500), patience="1s")
    assert site.deliver(FaultyLink()).confirmed == ROWS
    assert site.stored() == expected()


def test_a_wrong_key_stops(site: Site) -> None:
    subscription = site.subscription()
    assert subscription.deliver is not None
    extra = {"auth": "preauth", "instance_id": INSTANCE}
    connection = Connection("service", "paylog_openscale", site.address, password="canary-key", extra=extra)
    with Service(connection, subscription.deliver) as service, pytest.raises(AccessDenied) as raised:
        Deliverer(site.mart, subscription, service).deliver(site.receipt_id, lambda *_: None)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("api", ["v2"], indirect=True)
@pytest.mark.parametrize(
    ("budget", "confirmed", "failed"), [({"share": None}, RECORDS, RECORDS), ({"count": 0}, 0, ROWS)]
)
def test_what_the_service_rejects_is_reported_with_its_reason(
    site: Site, budget: dict[str, Any], confirmed: int, failed: int
) -> None:
    """The service's model schema has become stricter than ours: it refuses some rows, or all for them."""
    document_there = query(site.there, "SELECT document FROM there.paylog_subscription")[0][0]
    document_there["model_schema"]["fields"][1]["required"] = True
    document_there["error_budget"] = budget
    query(site.there, "UPDATE there.paylog_subscription SET document = %s::jsonb", json.dumps(document_there))
    assert site.deliver(FaultyLink(), rows=ROWS) == Delivered(confirmed, failed)
    (entry,) = site.mart.delivery.of_receipt("credit", site.receipt_id)
    assert (entry.state, entry.rows) == (DeliveryState.FAILED, ROWS)


@pytest.mark.parametrize("api", ["v2"], indirect=True)
def test_no_scoring_id_is_in_a_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site.deliver(FaultyLink([Fault.DROPPED_AFTER]))
    assert "asking the service" in caplog.text
    assert "call-" not in caplog.text


@pytest.mark.parametrize("api", ["v2"], indirect=True)
def test_no_transaction_stays_open_while_the_service_is_waited_for(site: Site) -> None:
    class Looking(FaultyLink):
        open: list[Any] = []  # noqa: RUF012

        def _passed_on(self, request: httpx.Request) -> httpx.Response:
            sessions = "SELECT state FROM pg_stat_activity WHERE xact_start < now() - interval '100 ms'"
            time.sleep(0.2)
            self.open += query(site.here, f"{sessions} AND datname = current_database()")
            return super()._passed_on(request)

    link = Looking()
    assert site.deliver(link, max_parallel=1) == Delivered(ROWS)
    assert link.open == []


@pytest.mark.skipif(not WIRE.is_dir(), reason="the recorded requests are not beside this checkout")
@pytest.mark.parametrize(("recording", "settings"), [
    ("v2bearer", {"data_set": "d"}),
    ("v1cloud", {"api": "v1", "subscription": "s", "binding": "b"}),
])  # fmt: skip
def test_what_is_posted_has_the_fields_of_the_recorded_requests(
    data_mart: DataMart, recording: str, settings: dict[str, str]
) -> None:
    subscription = Subscription.model_validate(document(deliver=settings))
    assert subscription.deliver is not None
    data_mart.ensure(subscription)
    receipt = posted.store(data_mart, subscription, records())
    writer = RecordWriter(subscription.model_schema, subscription.deliver, "credit-1")
    with data_mart.delivery.rows("credit", receipt.receipt_id, writer.sides) as rows:
        (chunk,) = writer.chunks(rows)
    ours = json.loads(chunk.body)[0]
    for request in json.loads((WIRE / f"{recording}.json").read_text()):
        if request["path"].endswith(("/records", "/scoring_payloads")) and request["method"] == "POST":
            recorded = request["body"][0]
            break
    assert ours.keys() == recorded.keys()
    for name, value in recorded.items():
        assert type(ours[name]) is type(value), name
    assert set(ours["request"]) <= set(recorded["request"])
    assert set(ours["response"]) == set(recorded["response"])
    assert [len(row) for row in ours["request"]["values"]] == [2, 2]


def test_rows_of_an_incomplete_request_keep_ids_of_their_own(data_mart: DataMart) -> None:
    subscription = Subscription.model_validate(
        document(deliver={"data_set": "d"}, error_budget={"share": None})
    )
    data_mart.ensure(subscription)
    receipt = posted.store(data_mart, subscription, records(3, broken=1))
    assert receipt.counts.rejected == 1
    writer = RecordWriter(subscription.model_schema, Delivery(data_set="d"), "credit-1")
    with data_mart.delivery.rows("credit", receipt.receipt_id, writer.sides) as rows:
        (chunk,) = writer.chunks(rows)
    assert chunk.expected_ids == ("call-0-1", "call-0-2", "call-1-2-1", "call-2-1", "call-2-2")
    assert chunk.scoring_ids == ("call-0-1", "call-0-2", "call-1-2", "call-2-1", "call-2-2")
