"""Writes the payload table as a Parquet file of what dlt can take. Usage: ``python -m … DSN FILE``."""

from __future__ import annotations

import io
import sys

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from benchmarks.payload_table import MODEL_SCHEMA, NAME, SCHEMA

_AS_TEXT = {"uuid", "double precision[]"}


def write(dsn: str, path: str) -> None:
    """In the order in which the rows went into the table."""
    columns = MODEL_SCHEMA.columns
    selected = ", ".join(
        f'array_to_json("{c.name}")' if c.pg_type.endswith("[]") else f'"{c.name}"' for c in columns
    )
    query = f'SELECT {selected} FROM "{SCHEMA}"."{NAME}" ORDER BY tableoid, ctid'
    types = {c.name: pa.string() if c.pg_type in _AS_TEXT else c.arrow_type for c in columns}
    text = io.BytesIO()
    with psycopg.connect(dsn) as connection:
        connection.execute("SET timezone = 'UTC'")
        with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
            for piece in copy:
                text.write(piece)
    text.seek(0)
    table = csv.read_csv(
        text,
        csv.ReadOptions(column_names=list(types)),
        convert_options=csv.ConvertOptions(
            column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False,
            true_values=["t"], false_values=["f"],
        ),
    )  # fmt: skip
    pq.write_table(table, path, row_group_size=65536)


if __name__ == "__main__":
    write(*sys.argv[1:3])
