"""What the page is looked at with: a subscription that fails and is mended, and one with a year behind it.

Every record of the first one holds a canary, a value that must not be seen by those who may not see values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.subscription import load_subscriptions
from paylog.testing.demo_logs import BUCKET
from paylog.testing.operated_year import OperatedYear, last_hour
from paylog.testing.stack import DATA_MART, Stack

CANARY = "canary-4b1f7c-of-a-payload-value"
BRITTLE, OPERATED = "brittle", "fraud-scoring"
DAY = datetime(2024, 3, 4, tzinfo=UTC)
GOOD, LACKING, BROKEN = 40, 9, 1
_SCHEMA = "operated_year"


def write_brittle(folder: Path, *, share: float = 0.05, age_required: bool = True) -> None:
    """The subscription of which a batch is over its budget, or that was mended."""
    document = _document(BRITTLE, "0 0 * * *", "paylog_demo", age_required)
    document["error_budget"] = {"share": share}
    (folder / f"{BRITTLE}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def subscriptions(folder: Path) -> None:
    """Both, as they are at first."""
    write_brittle(folder)
    document = _document(OPERATED, "0 * * * *", _SCHEMA, age_required=True)
    (folder / f"{OPERATED}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def write_logs(client: Any) -> None:
    """One object of a day: good records, records without an age, a line that is no JSON."""
    lines = [*map(json.dumps, _records()), *(f'{{"request": "{CANARY}' for _ in range(BROKEN))]
    key = f"{BRITTLE}/{DAY:%Y/%m/%d}/scored.jsonl"
    client.put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines).encode())


def write_year(stack: Stack) -> OperatedYear:
    """A year of hourly receipts up to now, in a schema of their own."""
    (subscription,) = load_subscriptions(stack.subscriptions / f"{OPERATED}.yaml")
    with DataMart(Connection(DATA_MART, **stack.connections()[DATA_MART]), _SCHEMA) as mart:
        mart.setup()
    version = subscription.model_schema.version
    year = OperatedYear(OPERATED, last_hour(datetime.now(UTC)), schema_version=version)
    year.write(stack.postgres, "datamart", _SCHEMA)
    return year


def _records() -> Iterator[dict[str, Any]]:
    for number in range(GOOD + LACKING):
        age = 20 + number if number < GOOD else None
        yield {
            "request": {"fields": ["Age", "City"], "values": [[age, CANARY]]},
            "response": {
                "fields": ["prediction", "probability"],
                "values": [["Risk", [0.2, 0.8]]],
            },
            "scoring_id": f"call-{number}",
            "scoring_timestamp": (DAY + timedelta(minutes=number)).isoformat(),
        }


def _document(name: str, cron: str, schema: str, age_required: bool) -> dict[str, Any]:
    logs = {"connection": "paylog_logs", "bucket": BUCKET, "prefix": f"{name}/", "layout": "%Y/%m/%d/"}
    return {
        "id": name,
        "service_provider": "custom_machine_learning",
        "deployment": {"id": name, "name": "Fraud scoring" if name == OPERATED else "Brittle"},
        "logs": logs | {"lookback": "0s"},
        "model_schema": {
            "problem_type": "binary",
            "class_labels": ["No Risk", "Risk"],
            "fields": [
                {"name": "Age", "type": "integer", "required": age_required},
                {"name": "City", "type": "string", "required": True},
                {"name": "prediction", "type": "string", "role": "prediction"},
                {"name": "probability", "type": "array", "role": "probability"},
            ],
        },
        "data_mart": {"connection": "paylog_data_mart", "schema": schema},
        "schedule": {"cron": cron},
    }
