"""What ``paylog serve`` says to a caller's mistakes: 400, and no payload value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openscale_server import payload_data_set, record
from starlette.testclient import TestClient

from paylog.client.data_mart import DataMartClient
from paylog.connections import Connection
from paylog.serve import application
from paylog.serve.data_sets import data_set_id

KEY = "an-api-key-for-tests-only"
INSTANCE = "11111111-2222-3333-4444-555555555555"
MART = f"/v1/data_marts/{INSTANCE}"


@pytest.fixture
def http(empty_database: Connection) -> Iterator[TestClient]:
    client = DataMartClient(INSTANCE)
    client.use(empty_database, "ext_payloads")
    with TestClient(application(client, KEY), headers={"Authorization": f"Bearer {KEY}"}) as test_client:
        yield test_client


@pytest.fixture
def data_set(http: TestClient) -> str:
    return payload_data_set(http)


@pytest.mark.parametrize("delimiter", ["||", "\n", ""])
def test_a_delimiter_that_csv_cannot_have_is_the_callers_mistake(
    http: TestClient, data_set: str, delimiter: str
) -> None:
    path, query = f"/v2/data_sets/{data_set}/records", {"delimiter": delimiter}
    answer = http.post(path, params=query, content=b"a||b", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "body",
    [7, "canary", {"a": 1}, [7], [{"fields": 5, "values": [[1]]}], [{"fields": [[1]], "values": [[1]]}]],
)
def test_feedback_of_another_form_is_the_callers_mistake(http: TestClient, data_set: str, body: Any) -> None:
    http.post(f"/v2/data_sets/{data_set}/records", json=[record(i) for i in range(3)])
    uid = http.get(f"/v2/data_sets/{data_set}").json()["entity"]["target"]["target_id"]
    answer = http.post(f"/v2/data_sets/{data_set_id(uid, 'feedback')}/records", json=body)
    assert answer.status_code == 400
    assert "canary" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/data_marts"),
        ("POST", "/v2/service_providers"),
        ("POST", "/v2/subscriptions"),
        ("POST", "/v2/monitor_instances"),
        ("PATCH", "/v2/subscriptions/{uid}"),
        ("PUT", MART),
        ("POST", f"{MART}/service_bindings"),
        ("POST", f"{MART}/feedback_payloads"),
    ],
)
def test_a_body_that_is_no_object_is_the_callers_mistake(
    http: TestClient, data_set: str, method: str, path: str
) -> None:
    uid = http.get(f"/v2/data_sets/{data_set}").json()["entity"]["target"]["target_id"]
    assert http.request(method, path.format(uid=uid), json=[7]).status_code == 400
