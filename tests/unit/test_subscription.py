"""What a subscription accepts, what it makes of it, and the files that ship."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import socket
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import yaml

from paylog.model_schema import RESERVED_NAMES, Role
from paylog.subscription import (
    ServiceProvider,
    Subscription,
    json_schema,
    load_subscriptions,
    read_subscriptions,
    write_json_schema,
)

ROOT = Path(__file__).parents[2]
SUBSCRIPTIONS = ROOT / "subscriptions"
EXPECTED = ROOT / "../shared/samples/credit_risk_cross_engine/expected_normalised.jsonl"
MINIMAL: dict[str, Any] = {
    "id": "one",
    "service_provider": "custom_machine_learning",
    "deployment": {"id": "one"},
    "logs": {},
    "model_schema": {
        "fields": [{"name": "x", "type": "double"}, {"name": "y", "type": "double", "role": "prediction"}],
        "problem_type": "regression",
    },
    "data_mart": {"schema": "mart"},
}


def subscription(**changes: Any) -> Subscription:
    return Subscription.model_validate(copy.deepcopy(MINIMAL) | changes)


def test_defaults() -> None:
    one = subscription()
    assert one.logs.connection == "paylog_folder_default"
    assert subscription(logs={"bucket": "logs"}).logs.connection == "ibm_cos_default"
    assert one.data_mart.connection == "postgres_default"
    assert (one.logs.lookback, one.logs.settle) == (timedelta(hours=24), timedelta(0))
    assert (one.logs.max_object_bytes, one.logs.max_record_bytes) == (8 << 30, 16 << 20)
    assert (one.batch.bytes, one.batch.max_parallel) == (64_000_000, 2)
    assert (one.error_budget.count, one.error_budget.share) == (None, 0.05)
    assert (one.schedule.cron, one.schedule.timezone, one.schedule.catchup) == ("0 * * * *", "UTC", False)


@pytest.mark.parametrize(
    ("provider", "layout", "effective"),
    [
        ("amazon_sagemaker", None, "%Y/%m/%d/%H/"),
        ("amazon_sagemaker", "", ""),
        ("custom_machine_learning", None, ""),
        ("custom_machine_learning", "dt=%Y-%m-%d/", "dt=%Y-%m-%d/"),
    ],
)
def test_layout_is_the_engines_own_unless_declared(provider: str, layout: str | None, effective: str) -> None:
    assert subscription(service_provider=provider, logs={"layout": layout}).layout == effective


def test_prefix_names_a_folder() -> None:
    assert subscription(logs={"prefix": "a/b"}).logs.prefix == "a/b/"


@pytest.mark.parametrize(
    ("written", "size"), [("64MB", 64_000_000), ("8GiB", 8 << 30), ("1.5 kb", 1500), (7, 7)]
)
def test_sizes(written: object, size: int) -> None:
    assert subscription(batch={"bytes": written}).batch.bytes == size


@pytest.mark.parametrize(
    ("written", "seconds"), [("24h", 86_400), ("90s", 90), ("1h30m", 5_400), ("7d", 604_800), ("0s", 0)]
)
def test_durations(written: str, seconds: int) -> None:
    assert subscription(logs={"lookback": written}).logs.lookback == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=ZoneInfo("Europe/Berlin"))),
        ("2024-01-31 06:00:00", datetime(2024, 1, 31, 6, tzinfo=ZoneInfo("Europe/Berlin"))),
        ("2024-01-31T06:00:00Z", datetime(2024, 1, 31, 6, tzinfo=UTC)),
        ('"2024-01-31"', datetime(2024, 1, 31, tzinfo=ZoneInfo("Europe/Berlin"))),
    ],
)
def test_start_is_an_aware_moment(written: str, moment: datetime) -> None:
    schedule = yaml.safe_load(f"{{timezone: Europe/Berlin, start: {written}}}")
    start = subscription(schedule=schedule).schedule.start
    assert start == moment
    assert start is not None
    assert start.utcoffset() == moment.utcoffset()


@pytest.mark.parametrize("cron", ["*/5 * * * *", "0 0 * * mon-fri", "30  4 1,15 * 5", "0 0 L * *"])
def test_crons(cron: str) -> None:
    assert subscription(schedule={"cron": cron}).schedule.cron == " ".join(cron.split())


def test_document_round_trips() -> None:
    one = subscription(
        logs={"bucket": "logs", "lookback": "90s", "settle": "2h"},
        schedule={"timezone": "Europe/Berlin", "start": "2024-07-01", "cron": "0 0 * * *"},
        error_budget={"count": 3, "share": None},
    )
    again = Subscription.model_validate(json.loads(json.dumps(one.document())))
    assert again == one
    assert again.logs.lookback == timedelta(seconds=90)


def test_model_schema_is_built_and_survives_pickling() -> None:
    (churn,) = load_subscriptions(SUBSCRIPTIONS / "churn.yaml")
    schema = churn.model_schema
    assert schema.response == (("predicted_label", "prediction"), ("score", "P(1)"))
    assert schema.class_labels == (0, 1)
    assert pickle.loads(pickle.dumps(churn)) == churn
    assert pickle.loads(pickle.dumps(churn)).model_schema == schema


def test_reserved_names_are_the_columns_that_every_payload_table_has() -> None:
    declared = {"x", "y", "p"}
    fields = [{"name": "x", "type": "double"}, {"name": "y", "type": "string", "role": "prediction"},
              {"name": "p", "type": "array", "role": "probability"}]  # fmt: skip
    schema = subscription(model_schema={"fields": fields, "class_labels": ["a", "b"]}).model_schema
    columns = {column.name for column in schema.columns if not column.name.startswith("_")}
    assert columns - declared == RESERVED_NAMES


def test_every_service_provider_has_an_engine() -> None:
    for provider in ServiceProvider:
        module, name = provider.engine.split(":")
        assert hasattr(import_module(module), name)
        assert ServiceProvider(str(provider)) is provider is pickle.loads(pickle.dumps(provider))


def test_shipped_subscriptions() -> None:
    churn, kserve, credit, azure = load_subscriptions(SUBSCRIPTIONS)
    assert (churn.id, credit.id) == ("churn", "credit-risk")
    assert (kserve.id, azure.id) == ("churn-kserve", "credit-risk-azure")
    assert (kserve.model_schema.features, azure.model_schema.features) == (
        churn.model_schema.features,
        credit.model_schema.features,
    )
    assert churn.service_provider is ServiceProvider.AMAZON_SAGEMAKER
    assert churn.layout == credit.layout == "%Y/%m/%d/%H/"
    assert credit.logs.connection == "paylog_logs"
    assert credit.data_mart.schema_name == "paylog_demo"
    assert credit.model_schema.class_labels == ("No Risk", "Risk")
    assert (len(churn.model_schema.features), len(credit.model_schema.features)) == (12, 20)


@pytest.mark.skipif(not EXPECTED.exists(), reason="shared samples are not here")
def test_credit_risk_has_the_features_of_the_samples() -> None:
    (credit,) = load_subscriptions(SUBSCRIPTIONS / "credit_risk.yaml")
    first = json.loads(EXPECTED.read_text(encoding="utf-8").splitlines()[0])
    kinds = {str: "string", int: "integer", float: "double"}
    expected = [(name, kinds[type(value)]) for name, value in first["features"].items()]
    assert [(f.name, f.type.value) for f in credit.model_schema.of_role(Role.FEATURE)] == expected
    assert list(credit.model_schema.class_labels) == first["classes"]


def test_committed_json_schema_is_current(tmp_path: Path) -> None:
    write_json_schema(tmp_path / "fresh.json")
    committed = (SUBSCRIPTIONS / "subscription.schema.json").read_text(encoding="utf-8")
    assert committed == (tmp_path / "fresh.json").read_text(encoding="utf-8"), "run: paylog schema"


def test_json_schema_describes_every_key() -> None:
    schema = json_schema()
    for section in [schema, *schema["$defs"].values()]:
        for key, value in section.get("properties", {}).items():
            referred = schema["$defs"].get(value.get("$ref", "").removeprefix("#/$defs/"), {})
            assert value.get("description") or referred.get("description"), (
                f"{section['title']}.{key} has no description"
            )


@pytest.mark.parametrize("file", sorted(SUBSCRIPTIONS.glob("*.yaml")), ids=lambda file: str(file.name))
def test_json_schema_accepts_what_paylog_accepts(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=./subscription.schema.json\n")
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(text))


def test_json_schema_refuses_an_unknown_key() -> None:
    document = copy.deepcopy(MINIMAL) | {"dataMart": {}}
    with pytest.raises(jsonschema.ValidationError, match="dataMart"):
        jsonschema.Draft202012Validator(json_schema()).validate(document)


def test_loading_is_fast_and_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        load_subscriptions(SUBSCRIPTIONS / "credit_risk.yaml")
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.02


def test_a_wrong_file_does_not_take_the_good_ones_along(tmp_path: Path) -> None:
    shutil.copy(SUBSCRIPTIONS / "churn.yaml", tmp_path / "churn.yaml")
    (tmp_path / "bad.yml").write_text("id: bad\n", encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("nonsense: true\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no subscription\n", encoding="utf-8")
    found = read_subscriptions(tmp_path)
    assert [s.id for s in found.subscriptions] == ["churn"]
    assert {p.rsplit("/", 1)[-1].split(":")[0] for p in found.problems} == {"bad.yml"}


def test_an_empty_folder_has_no_subscriptions(tmp_path: Path) -> None:
    assert load_subscriptions(tmp_path) == []
