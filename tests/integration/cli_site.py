"""A folder of logs, subscriptions and connections, and the command line on top of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import yaml
from typer.testing import CliRunner

from paylog.cli.app import app
from paylog.connections import Connection, postgres_dsn
from paylog.testing.scored_model import CREDIT_RISK
from paylog.testing.scoring_logs import Defect, PayloadLog

DAY = datetime(2024, 3, 4, tzinfo=UTC)
WINDOW = ("--from", "2024-03-04", "--to", "2024-03-05")
DEFECTS = {Defect.MALFORMED_JSON: 3, Defect.TYPE_MISMATCH: 5, Defect.DUPLICATE: 4}
SHIPPED = Path(__file__).parents[2] / "subscriptions"
OF_TRAINING_DATA = ("training_data", "judgement", "fairness", "monitors")
_MAIN = "from paylog.cli import main; main()"


def log(records: int = 600, objects: int = 6, **settings: Any) -> PayloadLog:
    """A day of a custom engine's log."""
    settings = {"defects": DEFECTS} | settings
    span = {"start": DAY, "end": DAY + timedelta(days=1)}
    return PayloadLog(model=CREDIT_RISK, records=records, objects_count=objects, **span, **settings)


@dataclass(frozen=True)
class Site:
    """Everything that the command line needs, in one folder."""

    folder: Path
    database: Connection

    def __post_init__(self) -> None:
        for name in ("logs", "subscriptions"):
            (self.folder / name).mkdir(exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        there = self.database
        mart = {
            "conn_type": "postgres", "host": there.host, "login": there.login, "password": there.password,
            "port": there.port, "schema": there.schema, "extra": there.extra,
        }  # fmt: skip
        logs = {"conn_type": "paylog_folder", "extra": {"path": str(self.folder / "logs")}}
        return {
            "PAYLOG_SUBSCRIPTIONS": str(self.folder / "subscriptions"),
            "AIRFLOW_CONN_MART": json.dumps(mart),
            "AIRFLOW_CONN_LOGS": json.dumps(logs),
        }

    def subscribe(self, name: str = "credit-risk", **changes: Any) -> None:
        """Write a subscription, without training data; ``changes`` replace or add whole sections."""
        shipped = yaml.safe_load((SHIPPED / "credit_risk.yaml").read_text(encoding="utf-8"))
        document = {key: value for key, value in shipped.items() if key not in OF_TRAINING_DATA} | {
            "id": name,
            "logs": {"connection": "logs", "layout": "%Y/%m/%d/%H/"},
            "data_mart": {"connection": "mart", "schema": "payload"},
        }
        text = yaml.safe_dump(document | changes)
        (self.folder / "subscriptions" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def write(self, written: PayloadLog) -> None:
        for item in written.objects():
            file = self.folder / "logs" / item.key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(item.data)

    def paylog(self, *arguments: object, **environment: str) -> Any:
        """A command in this process: exit_code, stdout, stderr."""
        return CliRunner().invoke(app, [str(a) for a in arguments], env=self.environment | environment)

    def json(self, *arguments: object) -> Any:
        """The document of a command that succeeds."""
        result = self.paylog(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """A command in a process group of its own, as a shell starts it."""
        return subprocess.Popen(
            [sys.executable, "-c", _MAIN, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env=os.environ | self.environment,
        )  # fmt: skip

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(postgres_dsn(self.database)) as link:
            return link.execute(statement.encode()).fetchall()


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C: the terminal sends it to the whole group."""
    os.killpg(process.pid, signal.SIGINT)


def fates(document: dict[str, Any]) -> dict[str, int]:
    """Row counts of a receipt."""
    return {name: document[name] for name in ("read", "loaded", "duplicate", "rejected")}


def expected_fates(written: PayloadLog) -> dict[str, int]:
    counts = written.expected.counts
    return {name: getattr(counts, name) for name in ("read", "loaded", "duplicate", "rejected")}


def reasons(written: PayloadLog) -> dict[str, int]:
    return {str(reason): rows for reason, rows in written.expected.reasons.items()}


def keys(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
