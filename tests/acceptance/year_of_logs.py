"""A year of scoring logs, a folder a day, up to last midnight; and subscriptions to them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from paylog import pipeline
from paylog.cli.app import app
from paylog.connections import Connection
from paylog.layout import Window
from paylog.subscription import Subscription
from paylog.testing.demo_logs import BUCKET
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.scoring_logs import Defect, PayloadLog
from paylog.testing.stack import Stack

DAY = timedelta(days=1)
RANGE, DAILY = "year-range", "year-daily"
_PREFIX = "year/"
_SHIPPED = Path(__file__).parents[2] / "subscriptions" / "credit_risk.yaml"
_OF_TRAINING_DATA = ("training_data", "judgement", "fairness", "monitors")
_DEFECTS = {Defect.TYPE_MISMATCH: 400, Defect.MALFORMED_JSON: 150, Defect.DUPLICATE: 365}


def subscriptions(folder: Path) -> None:
    """Two to the same logs: one runs every minute, one every day."""
    shipped = yaml.safe_load(_SHIPPED.read_text())
    kept = {key: value for key, value in shipped.items() if key not in _OF_TRAINING_DATA}
    logs = shipped["logs"] | {"prefix": _PREFIX, "layout": "%Y/%m/%d/", "lookback": "24h"}
    for name, cron in {RANGE: "* * * * *", DAILY: "0 0 * * *"}.items():
        document = kept | {"id": name, "logs": logs, "schedule": {"cron": cron}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))


@dataclass(frozen=True)
class Year:
    """The logs, written to the stack's object store."""

    stack: Stack
    end: datetime

    @classmethod
    def write(cls, stack: Stack) -> Year:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        year = cls(stack, midnight)
        for item in year.log.objects():
            stack.object_store.client.put_object(Bucket=BUCKET, Key=_PREFIX + item.key, Body=item.data)
        return year

    @property
    def log(self) -> PayloadLog:
        """One object a day, about 100 rows in each."""
        return PayloadLog(
            model=CREDIT_RISK,
            start=self.end - 365 * DAY,
            end=self.end,
            records=365 * 50,
            objects_count=365,
            rows_per_record=3,
            defects=_DEFECTS,
            gzip=True,
            layout="%Y/%m/%d/",
        )

    @property
    def window(self) -> Window:
        return Window(self.end - 365 * DAY, self.end)

    def clean(self, window: Window, folder: Path) -> Subscription:
        """The same logs loaded by the command line, in one undisturbed run, into a schema of their own."""
        document = yaml.safe_load((self.stack.subscriptions / f"{DAILY}.yaml").read_text())
        document["data_mart"] |= {"schema": f"clean_{window.start:%Y%m%d}"}
        document["logs"] |= {"lookback": "0s"}
        (folder / f"{DAILY}.yaml").write_text(yaml.safe_dump(document))
        receipt = command("backfill", DAILY, window, "--subscriptions", folder, "--workers", 1)
        assert receipt["balanced"]
        return Subscription.model_validate(document)

    def loaded(self, name: str) -> Subscription:
        """The subscription that Airflow loads."""
        return Subscription.model_validate(
            yaml.safe_load((self.stack.subscriptions / f"{name}.yaml").read_text())
        )


def environment(stack: Stack) -> dict[str, str]:
    """Variables for the command line: the stack's connections, and one to its Airflow."""
    fields = {
        "conn_type": "http",
        "host": "127.0.0.1",
        "port": stack.port,
        "login": "admin",
        "password": stack.airflow.users["admin"],
    }
    return stack.environment() | {"AIRFLOW_CONN_MY_AIRFLOW": json.dumps(fields)}


def command(name: str, subscription_id: str, window: Window, *options: object) -> Any:
    """The document of a command of ``paylog`` that succeeds."""
    span = ("--from", window.start.isoformat(), "--to", window.end.isoformat())
    arguments = [name, subscription_id, *span, *map(str, options), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    print(result.stderr)
    return json.loads(result.stdout)


def table(subscription: Subscription, window: Window) -> tuple[int, str, dict[str, int]]:
    """Row count and digest of all values and ids of a window, and rejects by reason of all time."""
    with pipeline.open_data_mart(subscription) as data_mart:
        frame = data_mart.payload.frame(subscription.id).sort_values("scoring_id")
        reasons = {str(k): v for k, v in data_mart.quarantine_counts(subscription.id).items()}
    when = frame["scoring_timestamp"]
    frame = frame[(when >= window.start) & (when < window.end)]
    return len(frame), hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest(), reasons


def covered(stack: Stack, subscription: Subscription, window: Window) -> bool:
    """Whether the watermark's coverage holds the window without a gap."""
    import psycopg

    from paylog.connections import postgres_dsn

    fields: dict[str, Any] = stack.connections()[subscription.data_mart.connection]
    dsn = postgres_dsn(Connection(subscription.data_mart.connection, **fields))
    with psycopg.connect(dsn) as link:
        statement = (
            f"SELECT covered @> tstzrange(%s, %s) FROM {subscription.data_mart.schema_name}.paylog_watermark "
            "WHERE subscription_id = %s"
        )
        found = link.execute(statement.encode(), (window.start, window.end, subscription.id)).fetchone()
    return bool(found and found[0])
