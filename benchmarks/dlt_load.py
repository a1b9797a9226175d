"""dlt fed with the records, or handed ready Arrow batches, into a keyed and partitioned table of its own.

dlt knows neither uuid nor arrays: the key's uuid is text and the probability vector is JSON (as
text in Arrow, because its ADBC driver cannot write jsonb). It upserts, the one
of its ways that does not double rows when it runs again. Usage:
``python -m benchmarks.dlt_load DSN SOURCE records|arrow FOLDER_FOR_ITS_STATE``, where SOURCE is
a folder of payload records or a Parquet file of finished rows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.payload_table import MODEL_SCHEMA, SCHEMA, partitions

NAME = "payload_dlt"
_TYPES = {
    "text": "varchar", "uuid": "varchar", "double precision[]": "varchar", "bigint": "bigint",
    "boolean": "boolean", "double precision": "double precision",
    "timestamp with time zone": "timestamp with time zone",
}  # fmt: skip


def statements(kind: str) -> list[str]:
    """SQL that makes dlt's table anew, keyed and partitioned like paylog's."""
    types = _TYPES if kind == "arrow" else {**_TYPES, "double precision[]": "jsonb"}
    columns = [
        f'"{c.name}" {types[c.pg_type]}{"" if c.nullable else " NOT NULL"}' for c in MODEL_SCHEMA.columns
    ]
    columns += ["_dlt_load_id varchar", "_dlt_id varchar"]
    key = "PRIMARY KEY (scoring_timestamp, _record_id)"
    return [
        f'DROP SCHEMA IF EXISTS "{SCHEMA}_dlt_staging" CASCADE',
        f'DROP SCHEMA IF EXISTS "{SCHEMA}_dlt" CASCADE',
        f'CREATE SCHEMA "{SCHEMA}_dlt"',
        f'CREATE TABLE "{SCHEMA}_dlt"."{NAME}" ({", ".join(columns)}, {key}) '
        "PARTITION BY RANGE (scoring_timestamp)",
        *partitions(f"{SCHEMA}_dlt", NAME),
    ]


def records(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """The logged records as flat rows, a thousand at a time: what one would yield to dlt."""
    decode = msgspec.json.decode
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.rglob("*.jsonl")):
        with path.open("rb") as lines:
            for position, line in enumerate(lines):
                rows += _rows(decode(line), position)
                if len(rows) >= 1000:
                    yield rows
                    rows = []
    yield rows


def _rows(record: dict[str, Any], position: int) -> Iterator[dict[str, Any]]:
    request, response, identity = record["request"], record["response"], record["scoring_id"]
    for n, (given, taken) in enumerate(zip(request["values"], response["values"], strict=True), 1):
        row = dict(zip(request["fields"], given, strict=True))
        row.update(zip(response["fields"], taken, strict=True))
        yield {
            "scoring_id": f"{identity}-{n}", "scoring_timestamp": record["scoring_timestamp"],
            "deployment_id": "credit", **row, "prediction_probability": max(row["probability"]),
            "_record_id": f"{identity}-{n}", "_object_id": 1, "_position": position,
            "_transaction_id": identity, "_response_time": record["response_time"],
            "_timestamp_approximate": False, "_partner_id": None, "_partner_position": None,
        }  # fmt: skip


def batches(path: Path) -> Iterator[Any]:
    """Finished rows as Arrow."""
    import pyarrow.parquet as pq

    yield from pq.ParquetFile(path).iter_batches(65536)


def load(dsn: str, source: str, kind: str, folder: str) -> None:
    """Extract, normalize and load, as one dlt pipeline run."""
    # Without the second setting dlt imports Airflow, where it is installed, to ask it for secrets.
    os.environ.update(
        RUNTIME__DLTHUB_TELEMETRY="false",
        PROVIDERS__ENABLE_AIRFLOW_SECRETS="false",
        RUNTIME__LOG_LEVEL="ERROR",
        SCHEMA__NAMING="direct",
        NORMALIZE__WORKERS="2",
        DATA_WRITER__FILE_MAX_ITEMS="50000",
    )
    import dlt

    columns: dict[str, Any] = {"probability": {"data_type": "text" if kind == "arrow" else "json"}}
    rows = batches(Path(source)) if kind == "arrow" else records(Path(source))
    resource = dlt.resource(
        rows,
        name=NAME,
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        primary_key=["scoring_timestamp", "_record_id"],
        columns=columns,
        file_format="parquet" if kind == "arrow" else "csv",
    )
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=folder,
        destination=dlt.destinations.postgres(_with_host(dsn)),
        dataset_name=f"{SCHEMA}_dlt",
    )
    pipeline.run(resource).raise_on_failed_jobs()


def _with_host(dsn: str) -> str:
    """dlt insists on a host and a password, where libpq takes a socket's folder and trust."""
    return dsn.replace("postgres@/", "postgres:unused@localhost/", 1)


if __name__ == "__main__":
    load(*sys.argv[1:5])
