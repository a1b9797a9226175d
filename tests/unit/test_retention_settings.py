"""The ``retention`` section and the connections of the three roles."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from paylog.airflow import maintenance
from paylog.errors import ConfigurationError
from paylog.subscription import Subscription, load_subscriptions
from paylog.subscription.retention import OldPartitions

SHIPPED = Path(__file__).parents[2] / "subscriptions" / "churn.yaml"


def subscription(folder: Path, **sections: Any) -> Subscription:
    document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8")) | sections
    (folder / "churn.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_subscriptions(folder)[0]


def test_nothing_is_removed_by_default(tmp_path: Path) -> None:
    made = subscription(tmp_path, data_mart={"connection": "mart", "schema": "payload"})
    assert made.retention is None
    assert (made.data_mart.owner_connection, made.data_mart.read_connection) == (None, None)


def test_maintenance_names_a_subscription_that_went_after_the_run_began(tmp_path: Path) -> None:
    made = subscription(tmp_path)
    assert maintenance._wanted(tmp_path, "churn") == made
    with pytest.raises(ConfigurationError, match=f"'gone' was taken from {tmp_path}"):
        maintenance._wanted(tmp_path, "gone")


def test_a_policy_is_read_and_written_back(tmp_path: Path) -> None:
    policy = {"payload": "400d", "action": "detach", "quarantine": "90d", "ledger": "460d"}
    made = subscription(tmp_path, retention=policy)
    assert made.retention is not None
    assert made.retention.payload == timedelta(days=400)
    assert made.retention.action is OldPartitions.DETACH
    assert made.document()["retention"] == policy
    assert Subscription.model_validate(made.document()) == made


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"payload": "12h"}, "retention.payload: at least 1d"),
        ({"ledger": "400d"}, "retention.ledger: the ledger can only go after the payload"),
        (
            {"payload": "100d", "ledger": "131d"},
            "retention.ledger: at least payload + 31d + logs.lookback (132d)",
        ),
        ({"payload": "often"}, "retention.payload: 'often' is not a duration"),
        ({"payload": "100d", "action": "delete"}, "retention.action: unknown value 'delete'"),
        ({"paylod": "100d"}, "did you mean 'payload'?"),
    ],
)
def test_mistakes(tmp_path: Path, policy: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        subscription(tmp_path, retention=policy)
    assert words in str(error.value)


def test_the_lookback_counts(tmp_path: Path) -> None:
    logs = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["logs"] | {"lookback": "10d"}
    with pytest.raises(ConfigurationError, match=r"\(141d\)"):
        subscription(tmp_path, logs=logs, retention={"payload": "100d", "ledger": "140d"})
    assert subscription(tmp_path, logs=logs, retention={"payload": "100d", "ledger": "141d"}).retention
