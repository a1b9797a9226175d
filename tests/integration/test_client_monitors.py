"""Monitors in the client and the REST APIs: refused by rule and source, or overridden for a kept reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from payload_blocks import query
from starlette.testclient import TestClient

from paylog.client.data_mart import DataMartClient
from paylog.client.engines import CustomMachineLearningAsset, CustomMachineLearningInstance
from paylog.client.payload_record import PayloadRecord
from paylog.client.subscription import SubscriptionClient
from paylog.client.supporting_classes import Feature
from paylog.connections import Connection
from paylog.errors import ConfigurationError
from paylog.serve import application

KEY = "an-api-key-for-tests-only"
INSTANCE = "11111111-2222-3333-4444-555555555555"
FAIR = {
    "features": [Feature("Sex", ["M"], ["F"], 0.8)],
    "favourable_classes": ["No Risk"],
    "unfavourable_classes": ["Risk"],
    "min_records": 10,
}
RECORDS = [
    PayloadRecord(
        request={"fields": ["Age", "Sex"], "values": [[30 + i, "M"]]},
        response={"fields": ["prediction", "probability"], "values": [["Risk", [0.2, 0.8]]]},
        scoring_id=f"call-{i}",
        scoring_timestamp="2024-01-19T19:00:00Z",
    )
    for i in range(3)
]


@pytest.fixture
def client(empty_database: Connection) -> Iterator[DataMartClient]:
    made = DataMartClient(INSTANCE)
    made.use(empty_database, "payloads")
    made.set_up()
    yield made
    made.mart.close()


def subscribe(client: DataMartClient, **more: Any) -> SubscriptionClient:
    binding = client.bindings.add("mine", CustomMachineLearningInstance({"url": "http://127.0.0.1:9"}))
    settings = {
        "problem_type": "binary",
        "input_data_type": "structured",
        "label_column": "Outcome",
        "prediction_column": "prediction",
        "probability_column": "probability",
        "class_labels": ["No Risk", "Risk"],
        "training_data_reference": {"type": "cos", "location": {"bucket": "b"}},
    }
    return client.subscriptions.add(
        CustomMachineLearningAsset("credit", binding_uid=binding, **(settings | more))
    )


def test_monitors_need_payload_first(client: DataMartClient) -> None:
    subscription = subscribe(client)
    with pytest.raises(ConfigurationError, match=r"payload-first; ibm-ai-openscale 2\.2\.1"):
        subscription.quality_monitoring.enable(threshold=0.8, min_records=5)
    assert subscription.quality_monitoring.get_details() == {"enabled": False, "parameters": {}}


def test_what_the_rules_allow_is_enabled_and_disabled(
    client: DataMartClient, empty_database: Connection
) -> None:
    subscription = subscribe(client)
    subscription.payload_logging.store(RECORDS)
    subscription.fairness_monitoring.enable(**FAIR)
    subscription.explainability.enable()
    subscription.drift_monitoring.enable(threshold=0.1, min_records=10)
    subscription.quality_monitoring.enable(threshold=0.8, min_records=5)
    table = f"Feedback_{subscription.uid}"
    assert query(empty_database, "SELECT 1 FROM pg_tables WHERE tablename = %s", table) == [(1,)]
    for monitor in (
        subscription.fairness_monitoring,
        subscription.explainability,
        subscription.drift_monitoring,
        subscription.quality_monitoring,
    ):
        before = monitor.get_details()
        assert before["enabled"]
        assert "override" not in before
        monitor.disable()
        assert monitor.get_details() == {**before, "enabled": False}
    assert subscription.fairness_monitoring.get_details()["parameters"]["features"][0]["feature"] == "Sex"


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"asset_type": "function"}, "function-without-explainability-and-quality"),
        ({"training_data_reference": None}, "statistics-need-training-data"),
    ],
)
def test_a_refusal_names_rule_and_source_and_can_be_overridden_for_a_reason(
    client: DataMartClient, more: dict[str, Any], rule: str
) -> None:
    subscription = subscribe(client, **more)
    subscription.payload_logging.store(RECORDS)
    for reason in (None, "  "):
        with pytest.raises(ConfigurationError, match=rf"rule {rule}; .*override_reason"):
            subscription.explainability.enable(override_reason=reason)
    subscription.explainability.enable(override_reason="our release supports it")
    kept = subscription.explainability.get_details()
    assert kept["enabled"]
    assert kept["override"]["reason"] == "our release supports it"
    assert kept["override"]["rules"][0]["id"] == rule
    assert kept["override"]["rules"][0]["source"]
    configurations = subscription.get_details()["entity"]["configurations"]
    assert configurations["explainability"]["override"] == kept["override"]


def test_fairness_needs_training_data_and_attributes(client: DataMartClient) -> None:
    subscription = subscribe(client)
    subscription.payload_logging.store(RECORDS)
    with pytest.raises(ConfigurationError, match="rule fairness-needs-attributes"):
        subscription.fairness_monitoring.enable()
    without = subscribe(client, name="other", training_data_reference=None)
    assert without.uid == subscription.uid  # the same deployment: it stays as it was subscribed
    subscription.fairness_monitoring.enable(**FAIR)


def test_the_rest_apis_refuse_with_the_rule(client: DataMartClient) -> None:
    subscription = subscribe(client, asset_type="function")
    subscription.payload_logging.store(RECORDS)
    binding = client.bindings.get_uids()[0]
    v1 = f"/v1/data_marts/{INSTANCE}/service_bindings/{binding}/subscriptions/{subscription.uid}"
    target = {"target_type": "subscription", "target_id": subscription.uid}
    with TestClient(application(client, KEY), headers={"Authorization": f"Bearer {KEY}"}) as http:
        old = http.put(f"{v1}/configurations/quality_monitoring", json={"enabled": True})
        new = http.post("/v2/monitor_instances", json={"monitor_definition_id": "quality", "target": target})
        for answer in (old, new):
            assert answer.status_code == 400
            assert "function-without-explainability-and-quality" in answer.text
        assert not subscription.quality_monitoring.get_details()["enabled"]

        reason = {"enabled": True, "override_reason": "tried it"}
        assert http.put(f"{v1}/configurations/quality_monitoring", json=reason).status_code == 200
        shown = http.get(f"{v1}/configurations/quality_monitoring").json()
        assert (shown["enabled"], shown["override"]["reason"]) == (True, "tried it")
        body = {"monitor_definition_id": "quality", "target": target, "override_reason": "so it is"}
        made = http.post("/v2/monitor_instances", json=body)
        assert made.status_code == 202
        assert made.json()["entity"]["override"]["reason"] == "so it is"
        assert (
            http.post(
                "/v2/monitor_instances", json={"monitor_definition_id": "mrm", "target": target}
            ).status_code
            == 202
        )


def test_the_addresses_of_v1_keep_to_the_rules(client: DataMartClient) -> None:
    """Without training data none can be had, but for a reason."""
    bare = subscribe(client, training_data_reference=None)
    asset = bare.asset
    assert asset is not None
    mart = {"data_mart_id": INSTANCE}
    fairness = {**mart, "asset_id": bare.uid, "parameters": {"features": [{"feature": "Sex"}]}}
    path = f"/v1/data_marts/{INSTANCE}/service_bindings/{asset.binding_id}/subscriptions/{bare.uid}"
    explained = {**mart, "service_binding_id": asset.binding_id, "model_id": asset.asset["asset_id"]}
    with TestClient(application(client, KEY), headers={"Authorization": f"Bearer {KEY}"}) as http:
        refused = http.post("/v1/fairness_monitoring", json=fairness)
        assert refused.status_code == 400
        assert "rule " in refused.json()["errors"][0]["message"]
        kept = http.post("/v1/fairness_monitoring", json={**fairness, "override_reason": "we know"})
        assert (kept.status_code, kept.json()["override"]["reason"]) == (202, "we know")
        assert http.post("/v1/model_explanation_configurations", json=explained).status_code == 400
        explained["override_reason"] = "we know"
        assert http.post("/v1/model_explanation_configurations", json=explained).status_code == 200
        other = {**explained, "model_id": "another"}
        assert http.post("/v1/model_explanation_configurations", json=other).status_code == 404
        foreign = {**fairness, "data_mart_id": "another"}
        assert http.post("/v1/fairness_monitoring", json=foreign).status_code == 404
        drift: dict[str, Any] = {"drift_threshold": 0.5, "min_samples": 9}
        assert http.post(f"{path}/drift_configurations", json=drift).status_code == 400
        drift["override_reason"] = "we know"
        assert http.post(f"{path}/drift_configurations", json=drift).status_code == 200
        found = http.get(f"{path}/configurations/drift").json()
        assert (found["enabled"], found["parameters"]) == (True, {"drift_threshold": 0.5, "min_samples": 9})
        http.put(f"{path}/configurations/drift", json={"enabled": False})
    assert bare.drift_monitoring.get_details()["enabled"] is False
    assert bare.explainability.get_details()["enabled"] is True
