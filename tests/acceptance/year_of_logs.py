"""A year of scoring logs, a folder a day, up to last midnight; and subscriptions to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from paylog import pipeline
from paylog.connections import Connection, use_resolver
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

    def clean(self, window: Window) -> Subscription:
        """The same logs loaded in one undisturbed run, into a schema of their own."""
        text = yaml.safe_load((self.stack.subscriptions / f"{DAILY}.yaml").read_text())
        text["data_mart"] |= {"schema": f"clean_{window.start:%Y%m%d}"}
        text["logs"] |= {"lookback": "0s"}
        subscription = Subscription.model_validate(text)
        pipeline.prepare(subscription)
        planned = pipeline.plan(subscription, window)
        pipeline.save_plan(subscription, planned, "clean")
        for batch in planned.batches:
            pipeline.ingest_planned(subscription, "clean", batch.batch_id)
        assert pipeline.reconcile(subscription, "clean", window).counts.balanced
        return subscription

    def loaded(self, name: str) -> Subscription:
        """The subscription that Airflow loads."""
        return Subscription.model_validate(
            yaml.safe_load((self.stack.subscriptions / f"{name}.yaml").read_text())
        )


def use_connections(stack: Stack) -> None:
    """Resolve the stack's connections in this process."""
    known = {name: Connection(name, **fields) for name, fields in stack.connections().items()}
    use_resolver(known.__getitem__)


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
