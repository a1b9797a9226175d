"""``paylog inspect``: whose logs these are, their shapes without values, and a subscription that holds."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from paylog.cli.app import app
from paylog.subscription import read_subscriptions
from paylog.testing.contract import outcome
from paylog.testing.scored_model import CHURN, CREDIT_RISK
from paylog.testing.scoring_logs import CaptureLog, PayloadLog, ScoringLog

DAY = datetime(2024, 3, 4, tzinfo=UTC)
SPAN: dict[str, Any] = {"start": DAY, "end": DAY + timedelta(hours=6), "objects_count": 6}


def inspect(folder: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["inspect", str(folder), *options])


def write(log: ScoringLog, folder: Path) -> None:
    for item in log.objects():
        path = folder / item.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.data)


def checked(text: str, folder: Path) -> Any:
    """The subscription that was printed, as ``paylog check`` reads it."""
    path = folder / "proposal.yaml"
    path.write_text(text, encoding="utf-8")
    found = read_subscriptions(path)
    assert not found.problems
    (subscription,) = found.subscriptions
    return subscription


def test_sagemaker_captures_with_layout_and_prefix(tmp_path: Path) -> None:
    write(CaptureLog(model=CHURN, records=60, **SPAN), tmp_path / "logs/churn/AllTraffic")
    printed = inspect(tmp_path / "logs/churn")
    assert printed.exit_code == 0, printed.output
    assert "written by: amazon_sagemaker (60 of 60 records have captureData, eventMetadata)" in printed.stdout
    subscription = checked(printed.stdout, tmp_path)
    assert (subscription.id, subscription.logs.prefix) == ("churn", "AllTraffic/")
    assert subscription.layout == "%Y/%m/%d/%H/"


def test_a_proposal_with_the_labels_loads_every_row(tmp_path: Path) -> None:
    log = PayloadLog(model=CREDIT_RISK, records=300, **SPAN)
    write(log, tmp_path / "logs/credit-risk")
    subscription = checked(inspect(tmp_path / "logs/credit-risk", "--show-values").stdout, tmp_path)
    assert (subscription.service_provider, subscription.layout) == ("custom_machine_learning", "%Y/%m/%d/%H/")
    found = [outcome(subscription, item.data, key=item.key) for item in log.objects()]
    assert sum(len(each.rows) for each in found) == 300
    assert not any(each.rejects for each in found)


def test_no_value_is_shown_unless_asked_for(tmp_path: Path) -> None:
    record = {
        "scoring_id": "id-49152",
        "scoring_timestamp": "2024-03-04T05:06:07Z",
        "request": {"fields": ["age", "job"], "values": [[49153, "astronaut"]]},
        "response": {"fields": ["prediction", "probability"], "values": [["solvent", [0.7182, 0.2818]]]},
    }
    record["response"] = json.dumps(record["response"])  # a document within a text
    (tmp_path / "log.jsonl").write_text(json.dumps(record) + "\n")
    values = ("49152", "49153", "astronaut", "solvent", "0.7182", "2024-03-04")
    for options in ((), ("--json",)):
        printed = inspect(tmp_path, *options)
        assert "request.values[][]" in printed.stdout
        assert not [value for value in values if value in printed.output]
    shown = inspect(tmp_path, "--show-values").stdout
    assert "49153" in shown


def test_flat_tables_of_any_kind(tmp_path: Path) -> None:
    rows = [
        {"tenure": n, "plan": "a", "prediction": n / 2, "scoring_timestamp": f"2024-03-04T05:06:{n:02}"}
        for n in range(20)
    ]
    (tmp_path / "flat").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "flat/a.parquet")
    text = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "flat/b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (tmp_path / "flat/c.csv").write_text("\ufeff" + "\n".join(lines))
    printed = inspect(tmp_path / "flat")
    assert "1 Parquet, 1 JSON, 1 CSV" in printed.stdout
    subscription = checked(printed.stdout, tmp_path)
    fields = {f.name: f.type.value for f in subscription.model_schema.fields}
    assert fields == {"tenure": "integer", "plan": "string", "prediction": "double"}
    assert subscription.model_schema.problem_type == "regression"
    assert (subscription.service_provider, subscription.logs.timezone) == ("files", "UTC")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.bin", b"\x00\xff\x80" * 900),
        ("b.txt", b"starting\nstopping\n"),
        ("c.jsonl", b""),
        ("d.gz", b"\x1f\x8b"),
    ],
)
def test_what_is_no_log_gets_no_proposal(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    printed = inspect(tmp_path)
    assert printed.exit_code == 3
    assert "no subscription is proposed" in printed.stdout
    assert all(line.startswith("#") for line in printed.stdout.splitlines())


def test_half_a_folder_of_rubbish_does_not_matter(tmp_path: Path) -> None:
    write(PayloadLog(model=CREDIT_RISK, records=30, **SPAN), tmp_path)
    (tmp_path / "2024/03/04/00/core.json").write_bytes(b'{"a":' * 10_000 + b"\xff")
    (tmp_path / "2024/03/04/01/deep.json").write_bytes(b"[" * 100_000)
    (tmp_path / "2024/03/04/02/rest.csv").write_bytes(b'a,"b\n1')
    printed = inspect(tmp_path)
    assert printed.exit_code == 0, printed.output
    assert "written by: custom_machine_learning" in printed.stdout


def test_json_for_machines(tmp_path: Path) -> None:
    write(CaptureLog(model=CHURN, records=12, **SPAN), tmp_path)
    report = json.loads(inspect(tmp_path, "--json").stdout)
    assert (report["objects"], report["service_provider"], report["records"]) == (6, "amazon_sagemaker", 12)
    assert {"path": "eventVersion", "types": ["string"], "records": 12} in report["members"]
    assert yaml.safe_load(yaml.safe_dump(report["subscription"])) == report["subscription"]


@pytest.mark.parametrize(
    ("uri", "code", "hint"),
    [
        ("/absent/folder", 5, "does not exist"),
        ("ftp://x/y", 2, "ftp:// is not known"),
        ("s3://b/p", 2, "aws_default"),
    ],
)
def test_mistakes(uri: str, code: int, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT", raising=False)
    printed = CliRunner().invoke(app, ["inspect", uri])
    assert printed.exit_code == code
    assert hint in printed.stderr


def test_an_empty_folder(tmp_path: Path) -> None:
    printed = inspect(tmp_path)
    assert printed.exit_code == 3
    assert "holds no objects" in printed.stderr
