"""A delivery to a ``paylog serve`` whose subscription maps the engine's response columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from openscale_server import serving
from payload_blocks import query

from paylog import posted
from paylog.client.data_mart import DataMartClient
from paylog.connections import Connection, parse
from paylog.data_mart import DataMart
from paylog.openscale.crew import Delivered
from paylog.openscale.delivery import Deliverer
from paylog.openscale.service import Service
from paylog.records import Receipt
from paylog.serve import application
from paylog.serve.data_sets import data_set_id
from paylog.subscription import Subscription
from paylog.testing.exactly_once.served_model import churn
from paylog.testing.postgres import EmbeddedPostgres
from paylog.testing.scored_model import CHURN

KEY = "an-api-key-for-tests-only"
INSTANCE = "11111111-2222-3333-4444-555555555555"
ROWS = 60
DELIVER = {"data_set": data_set_id("churn", "payload_logging"), "rows": 25, "patience": "20s"}


@dataclass
class Two:
    """Two data marts with the same subscription: one delivers, the other is served."""

    here: DataMart
    there: DataMartClient
    address: str
    connections: tuple[Connection, Connection]

    def deliver(self, subscription: Subscription, receipt: Receipt) -> Delivered:
        assert subscription.deliver is not None
        extra = {"auth": "preauth", "instance_id": INSTANCE}
        connection = Connection("service", "paylog_openscale", self.address, password=KEY, extra=extra)
        with Service(connection, subscription.deliver) as service:
            return Deliverer(self.here, subscription, service).deliver(receipt.receipt_id, lambda *_: None)


@pytest.fixture
def two(empty_database: Connection, postgres: EmbeddedPostgres) -> Iterator[Two]:
    name = f"{empty_database.schema}_there"
    postgres.create_database(name)
    there = parse("there", postgres.url(name, "postgres"))
    client = DataMartClient(INSTANCE)
    client.use(there, "paylog")
    client.set_up()
    client.mart.ensure(churn())
    with DataMart(empty_database, "paylog") as mart, serving(application(client, KEY)) as address:
        mart.setup()
        yield Two(mart, client, address, (empty_database, there))
    client.mart.close()
    postgres.drop_database(name)


def as_the_engine_answers() -> bytes:
    """Records whose responses have the engine's columns, as the subscription maps them."""
    people, risk = CHURN.score(np.random.default_rng(5), ROWS)
    features = {name: values.tolist() for name, values in people.items()}
    return b"\n".join(
        json.dumps(
            {
                "scoring_id": f"call-{i}",
                "scoring_timestamp": f"2024-03-04T10:{i:02}:00Z",
                "request": {"fields": list(features), "values": [[v[i] for v in features.values()]]},
                "response": {"fields": ["predicted_label", "score"], "values": [[int(p > 0.5), p]]},
            }
        ).encode()
        for i, p in enumerate(risk.tolist())
    )


def test_rows_of_a_mapped_response_are_delivered_whole(two: Two) -> None:
    subscription = churn(deliver=DELIVER)
    two.here.ensure(subscription)
    receipt = posted.store(two.here, subscription, as_the_engine_answers())
    assert receipt.counts.loaded == ROWS
    assert two.deliver(subscription, receipt) == Delivered(confirmed=ROWS)
    ours, theirs = two.here.payload.frame("churn"), two.there.mart.payload.frame("churn")
    assert ours.equals(theirs)
    assert not ours["prediction_probability"].isna().any()


def test_the_engines_own_columns_are_taken_before_and_after_a_delivery(two: Two) -> None:
    subscription = churn(deliver=DELIVER)
    two.here.ensure(subscription)
    *known, new = as_the_engine_answers().split(b"\n")
    receipt = posted.store(two.here, subscription, b"\n".join(known))
    _post(two, known[:9])
    assert two.deliver(subscription, receipt) == Delivered(confirmed=ROWS - 1)
    _post(two, [*known[9:12], new])
    counted = query(two.connections[1], 'SELECT count(*), count(probability) FROM paylog."Payload_churn"')
    assert counted == [(ROWS, ROWS)]


def _post(two: Two, records: list[bytes]) -> None:
    answer = httpx.post(
        f"{two.address}/v2/data_sets/{DELIVER['data_set']}/records",
        content=b"[" + b",".join(records) + b"]",
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    assert answer.json() == {"state": "active", "records_count": len(records)}
