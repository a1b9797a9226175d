"""Names of metrics, with and without tags; names of data sets by OpenLineage's rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from credit_training import subscription

from paylog.airflow import lineage, metrics
from paylog.connections import Connection, use_resolver
from paylog.data_mart import Watermark
from paylog.records import Counts, Receipt

NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)
RECEIPT = Receipt(
    1, "credit", "0001", "run-1", NOON, NOON + timedelta(hours=1), 3, 4096,
    Counts(read=10, loaded=7, duplicate=1, rejected=2), {"NULL_VALUE": 2}, seconds=0.5,
)  # fmt: skip


class Statistics:
    """Airflow's, in memory: (name, value, tags)."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, float, dict[str, str]]] = []

    def incr(self, name: str, count: int, tags: dict[str, str]) -> None:
        self.sent.append((name, count, tags))

    gauge = timing = incr


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Statistics:
    """With ``legacy_names_on`` as parametrized."""
    kept = Statistics()
    monkeypatch.setattr(metrics, "stats", kept)
    monkeypatch.setenv("AIRFLOW__METRICS__LEGACY_NAMES_ON", str(request.param))
    return kept


@pytest.mark.parametrize("sent", [False], indirect=True)
def test_metrics_of_a_batch_have_tags(sent: Statistics) -> None:
    metrics.batch(RECEIPT)
    mine = {"subscription_id": "credit"}
    assert sent.sent == [
        ("paylog.rows.read", 10, mine),
        ("paylog.rows.loaded", 7, mine),
        ("paylog.rows.duplicate", 1, mine),
        ("paylog.rows.rejected", 2, mine),
        ("paylog.rejects", 2, mine | {"reason": "NULL_VALUE"}),
        ("paylog.batches", 1, mine),
        ("paylog.objects", 3, mine),
        ("paylog.bytes", 4096, mine),
        ("paylog.batch.duration", 500.0, mine),
        ("paylog.batch.rows_per_second", 20.0, mine),
    ]


@pytest.mark.parametrize("sent", [True], indirect=True)
def test_for_receivers_without_tags_the_name_says_it_too(sent: Statistics) -> None:
    metrics.batch(RECEIPT)
    named = {name: value for name, value, tags in sent.sent if not tags}
    assert named["paylog.rows.loaded.credit"] == 7
    assert named["paylog.rejects.credit.NULL_VALUE"] == 2
    assert len(named) == len(sent.sent) / 2


@pytest.mark.parametrize("sent", [False], indirect=True)
def test_the_lag_grows_from_the_watermark(sent: Statistics) -> None:
    metrics.watermark("credit", None)
    assert sent.sent == []
    metrics.watermark("credit", Watermark(datetime.now(UTC) - timedelta(hours=2), 3, NOON))
    (lag, late) = sent.sent
    assert lag[0] == "paylog.lag_seconds"
    assert 7200 <= lag[1] < 7260
    assert late[:2] == ("paylog.late_objects", 3)


STORES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str]]] = {
    "cos": ({"conn_type": "ibm_cos"}, {"bucket": "logs", "prefix": "a/b/"}, ("s3://logs", "a/b")),
    "whole bucket": ({"conn_type": "aws"}, {"bucket": "logs"}, ("s3://logs", "/")),
    "gcs": ({"conn_type": "google_cloud_platform"}, {"bucket": "logs", "prefix": "a"}, ("gs://logs", "a")),
    "azure": (
        {"conn_type": "wasb", "host": "https://acme.blob.core.windows.net", "password": "canary"},
        {"bucket": "logs", "prefix": "a/"},
        ("wasbs://logs@acme.dfs.core.windows.net", "a"),
    ),
    "folder": (
        {"conn_type": "paylog_folder", "extra": {"path": "/var/log/scoring"}},
        {"prefix": "credit/"},
        ("file", "/var/log/scoring/credit"),
    ),
}


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Connections by id, for the time of a test."""
    known: dict[str, Connection] = {}
    use_resolver(known.__getitem__)
    yield known
    use_resolver(None)


@pytest.mark.parametrize("store", STORES)
def test_the_folder_of_the_logs_is_the_input(connections: dict[str, Connection], store: str) -> None:
    connection, logs, (namespace, name) = STORES[store]
    connections["logs"] = Connection("logs", **connection)
    found = lineage.logs_dataset(subscription(logs={"connection": "logs"} | logs), RECEIPT)
    assert (found.namespace, found.name) == (namespace, name)
    read = found.inputFacets["inputStatistics"]
    assert (read.rowCount, read.size, read.fileCount) == (10, 4096, 3)


def test_the_payload_table_is_the_output(connections: dict[str, Connection]) -> None:
    connections["mart"] = Connection("mart", "postgres", "db.example.com", "me", "canary", 6543, "marts")
    owner = subscription(data_mart={"connection": "mart", "schema": "pay"})
    found = lineage.table_dataset(owner, RECEIPT)
    assert (found.namespace, found.name) == ("postgres://db.example.com:6543", "marts.pay.Payload_credit")
    assert found.outputFacets["outputStatistics"].rowCount == 7
    assert "canary" not in repr(found)
    connections["mart"] = Connection("mart", "postgres", schema="marts", extra={"host": "/run/postgresql"})
    assert lineage.table_dataset(owner, RECEIPT).namespace == "postgres://localhost:5432"
