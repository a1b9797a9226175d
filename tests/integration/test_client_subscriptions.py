"""Subscriptions in the client: made in Python, or declared in files and loaded by DAGs."""

from __future__ import annotations

import pytest
from openscale_server import payload_data_set, record
from starlette.testclient import TestClient

from paylog.client.data_mart import DataMartClient
from paylog.connections import Connection
from paylog.errors import ConfigurationError
from paylog.serve import application
from paylog.testing.exactly_once.served_model import churn, credit

KEY = "an-api-key-for-tests-only"
INSTANCE = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def client(empty_database: Connection) -> DataMartClient:
    """Of a data mart with two subscriptions from files."""
    made = DataMartClient(INSTANCE)
    made.use(empty_database, "paylog")
    made.set_up()
    for declared in (churn(), credit()):
        made.mart.ensure(declared)
    return made


@pytest.fixture
def http(client: DataMartClient) -> TestClient:
    return TestClient(application(client, KEY), headers={"Authorization": f"Bearer {KEY}"})


def test_one_subscription_is_got_without_reading_all(
    client: DataMartClient, registry_queries: list[str]
) -> None:
    assert client.subscriptions.get("churn").uid == "churn"
    assert registry_queries == ["subscription_ids"]
    with pytest.raises(ConfigurationError, match="no subscriptions match"):
        client.subscriptions.get("chur")
    assert client.subscriptions.get(name="amazon_sagemaker-endpoint").uid == "churn"


def test_details_of_all_are_read_at_once(
    client: DataMartClient, http: TestClient, registry_queries: list[str]
) -> None:
    data_set = payload_data_set(http)
    uid = http.get(f"/v2/data_sets/{data_set}").json()["entity"]["target"]["target_id"]
    without_schema = client.subscriptions.get_details(uid)
    http.post(f"/v2/data_sets/{data_set}/records", json=[record(i) for i in range(3)])
    registry_queries.clear()
    found = client.subscriptions.get_details()["subscriptions"]
    assert registry_queries == ["assets", "documents"]
    by_uid = {one["metadata"]["guid"]: one for one in found}
    assert by_uid == {one: client.subscriptions.get_details(one) for one in ("churn", "credit", uid)}
    assert "output_data_schema" in by_uid[uid]["entity"]["asset_properties"]
    assert "output_data_schema" not in without_schema["entity"]["asset_properties"]


def test_v1_and_v2_list_what_was_subscribed_in_few_queries(
    http: TestClient, registry_queries: list[str]
) -> None:
    payload_data_set(http)
    registry_queries.clear()
    (there,) = http.get("/v2/subscriptions").json()["subscriptions"]
    assert registry_queries == ["assets"]
    uid, binding = there["metadata"]["id"], there["entity"]["service_provider_id"]
    assert http.get(f"/v2/subscriptions/{uid}").json() == there
    registry_queries.clear()
    path = f"/v1/data_marts/{INSTANCE}/service_bindings/{binding}/subscriptions"
    (found,) = http.get(path).json()["subscriptions"]
    assert registry_queries == ["documents", "assets"]
    assert http.get(f"{path}/{uid}").json() == found


def test_logging_of_a_subscription_from_a_file_is_not_disabled_from_here(
    client: DataMartClient, http: TestClient
) -> None:
    logging = client.subscriptions.get("churn").payload_logging
    logging.enable()  # as it is
    with pytest.raises(ConfigurationError, match="declared in a file"):
        logging.disable()
    assert logging.enabled
    path = f"/v1/data_marts/{INSTANCE}/service_bindings/b/subscriptions/churn/configurations/payload_logging"
    assert http.put(path, json={"enabled": True}).status_code == 200
    assert http.put(path, json={"enabled": False}).status_code == 400
