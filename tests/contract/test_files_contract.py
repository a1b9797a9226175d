"""Flat files under the shared contract: NDJSON, CSV with and without a header, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from test_engines import FEATURES, bodies

from paylog.subscription import Subscription
from paylog.testing.contract import EngineContract, declare

RECORDS = 25


def flat_rows(name: str) -> list[dict[str, Any]]:
    """One scored row each, with id and time."""
    rows = []
    for i in range(RECORDS):
        request, response = bodies(i)
        label, vector = response[0]
        cells = dict(zip(FEATURES, request[0], strict=True))
        head = {"scoring_id": f"{name}-{i}-1", "scoring_timestamp": f"2024-01-19T19:27:{i:02}.5Z"}
        rows.append({**cells, "prediction": label, "probability": vector, **head})
    return rows


def as_csv(rows: list[dict[str, Any]], header: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    cells = [[json.dumps(c) if isinstance(c, list) else c for c in row.values()] for row in rows]
    writer.writerows([list(rows[0]), *cells] if header else cells)
    return (b"\xef\xbb\xbf" if header else b"") + text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=10)
    return file.getvalue()


class TestFilesJsonLines(EngineContract):
    def subscription(self) -> Subscription:
        return declare("files", FEATURES)

    def objects(self) -> Sequence[bytes]:
        return [b"\n".join(json.dumps(row).encode() for row in flat_rows(name)) for name in "ab"]


class TestFilesPartitioned(EngineContract):
    """Columns of the path, for which records go another way than through the native scanner."""

    def subscription(self) -> Subscription:
        return declare("files", FEATURES, meta={"dt": "string"})

    def objects(self) -> Sequence[bytes]:
        return [b"\n".join(json.dumps(row).encode() for row in flat_rows("a"))]

    def key(self, number: int) -> str:
        return f"dt=2024-01-{number + 1:02}/part.json"


class TestFilesCsv(EngineContract):
    json_lines = False

    def subscription(self) -> Subscription:
        fields = (*FEATURES, "prediction", "probability", "scoring_id", "scoring_timestamp")
        return declare("files", FEATURES, columns=fields)

    def objects(self) -> Sequence[bytes]:
        return [as_csv(flat_rows("a"), header=True), as_csv(flat_rows("b"), header=False)]

    def key(self, number: int) -> str:
        return f"logs/part-{number}.csv"


class TestFilesParquet(EngineContract):
    def subscription(self) -> Subscription:
        return declare("files", FEATURES)

    def objects(self) -> Sequence[bytes]:
        return [as_parquet(flat_rows("a"))]
