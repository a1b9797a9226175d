"""The demo's training data: what is planted in it is what is found, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from paylog.errors import MissingExtra
from paylog.subscription import Subscription, load_subscriptions
from paylog.testing import demo_training
from paylog.testing.demo_training import (
    DB2_TABLE,
    PLANTED,
    TrainingTable,
    churn_training,
    credit_training,
    demo_db2,
    subscriptions_with_db2,
)
from paylog.training_data import check

SHIPPED = Path(__file__).parents[2] / "subscriptions"


@pytest.mark.parametrize(
    ("file", "table"),
    [("credit_risk", credit_training()), ("churn", churn_training())],
    ids=["credit", "churn"],
)
def test_what_is_planted_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, table: TrainingTable
) -> None:
    connection = {"conn_type": "paylog_folder", "extra": {"path": str(tmp_path)}}
    monkeypatch.setenv("AIRFLOW_CONN_FOLDER", json.dumps(connection))
    (tmp_path / "training.csv").write_bytes(table.as_csv())
    document = yaml.safe_load((SHIPPED / f"{file}.yaml").read_text(encoding="utf-8"))
    reference = {"type": "cos", "connection": "folder", "object": "training.csv"}
    subscription = Subscription.model_validate(document | {"training_data": reference})
    assert [f.code for f in check(subscription).findings] == PLANTED[subscription.id]


def test_with_a_db2_the_churn_model_s_training_data_is_there(tmp_path: Path) -> None:
    found = {s.id: s.training_data for s in load_subscriptions(subscriptions_with_db2(SHIPPED, tmp_path))}
    churn: Any = found["churn"]
    assert (churn.type, churn.table) == ("db2", DB2_TABLE)
    assert {s.id: s.training_data for s in load_subscriptions(SHIPPED)} == found | {"churn": None}


def test_without_a_db2_the_demo_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAYLOG_DEMO_DB2", raising=False)
    monkeypatch.setattr(demo_training, "missing_for_standin", lambda: "there is none")
    with demo_db2(tmp_path) as db2:
        assert db2 is None
    monkeypatch.setattr(demo_training, "find_spec", lambda name: None)
    monkeypatch.setenv("PAYLOG_DEMO_DB2", "db2+ibm_db://u:p@127.0.0.1:9/X")
    with pytest.raises(MissingExtra, match=r"pip install 'paylog\[db2\]'"), demo_db2(tmp_path):
        pass
