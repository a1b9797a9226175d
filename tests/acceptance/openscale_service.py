"""A running ``paylog serve`` with a data mart of its own; it takes one subscription, and refuses another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from paylog.client.data_mart import DataMartClient
from paylog.connections import parse
from paylog.serve.data_sets import data_set_id
from paylog.subscription import Subscription, load_subscriptions
from paylog.testing.postgres import EmbeddedPostgres

INSTANCE = "11111111-2222-3333-4444-555555555555"
KEY = "an-api-key-for-tests-only"
DATABASE = SCHEMA = "service"


def deliver_section(subscription_id: str) -> str:
    """The ``deliver`` section of a subscription that the service has too."""
    data_set = data_set_id(subscription_id, "payload_logging")
    return f"\ndeliver: {{connection: service, data_set: {data_set}, patience: 5s, settle: 1s}}\n"


@contextmanager
def openscale_service(
    postgres: EmbeddedPostgres, delivered: Path, refused: Path, log: Path
) -> Iterator[dict[str, Any]]:
    """Serve; gives the connection's fields.

    :param delivered, refused: subscription files; what does not fit the second one's schema is all of it.
    """
    postgres.create_database(DATABASE)
    uri = postgres.url(DATABASE)
    client = DataMartClient(INSTANCE)
    client.use(parse("service", uri), SCHEMA)
    client.set_up()
    (one,), (other,) = load_subscriptions(delivered), load_subscriptions(refused)
    client.mart.ensure(_there(one))
    client.mart.ensure(_strict(_there(other)))
    client.mart.close()
    command = [str(Path(sys.executable).parent / "paylog"), "serve", "--connection", "service"]
    command += ["--schema", SCHEMA, "--instance", INSTANCE, "--port", "0"]
    environment = os.environ | {"AIRFLOW_CONN_SERVICE": uri, "PAYLOG_SERVE_API_KEY": KEY}
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        extra = json.dumps({"auth": "preauth", "instance_id": INSTANCE})
        address = listening(log, process)
        yield {"conn_type": "paylog_openscale", "host": address, "password": KEY, "extra": extra}
    finally:
        process.terminate()
        process.wait(20)


def listening(log: Path, process: subprocess.Popen[bytes]) -> str:
    """The address that a ``paylog serve`` says in its log, once it answers there."""
    for _ in range(300):
        for word in log.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                assert httpx.get(f"{word}/health").status_code == 200
                return word
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def _there(subscription: Subscription) -> Subscription:
    mart = subscription.data_mart.model_copy(update={"schema_name": SCHEMA})
    return subscription.model_copy(update={"data_mart": mart})


def _strict(subscription: Subscription) -> Subscription:
    """One whose first text feature is a number, and that bears no reject."""
    document = subscription.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    fields = document["model_schema"]["fields"]
    next(field for field in fields if field["type"] == "string")["type"] = "integer"
    return Subscription.model_validate({**document, "error_budget": {"count": 0}})
