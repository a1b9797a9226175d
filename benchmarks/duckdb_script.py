"""What a data engineer would write by hand: DuckDB reads the logs, PostgreSQL merges them. No guarantees.

DuckDB's own PostgreSQL writer is an extension, downloaded from a server of theirs when it is first used;
where that is out of reach the rows leave as Arrow and enter through COPY. Usage:
``python -m benchmarks.duckdb_script DSN FOLDER custom|sagemaker binary|csv``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import duckdb
import psycopg
import pyarrow as pa

from benchmarks.payload_table import NAME, SCHEMA
from paylog.model_schema import FieldType
from paylog.testing.scored_model import CREDIT_RISK

_CASTS = {FieldType.INTEGER: "::BIGINT", FieldType.STRING: ""}
_FEATURES = ", ".join(f'v[{i}]{_CASTS[f.type]} AS "{f.name}"' for i, f in enumerate(CREDIT_RISK.features, 1))
_BODY = 'STRUCT(fields VARCHAR[], "values" VARCHAR[][])'
_CUSTOM = f"""
WITH record AS (
  SELECT scoring_id AS id, scoring_timestamp AS ts, response_time AS ms, unnest(request."values") AS v,
         unnest(response."values") AS o, generate_subscripts(request."values", 1) AS n
  FROM read_json('%s', format = 'newline_delimited', columns = {{
    scoring_id: 'VARCHAR', scoring_timestamp: 'TIMESTAMPTZ', request: '{_BODY}', response: '{_BODY}',
    response_time: 'BIGINT'}}))
SELECT id || '-' || n AS scoring_id, ts AS scoring_timestamp, 'credit' AS deployment_id,
       NULL::VARCHAR AS asset_revision, {_FEATURES}, o[2] AS prediction, o[1]::DOUBLE[] AS probability,
       list_max(o[1]::DOUBLE[]) AS prediction_probability, md5(id || '-' || n) AS _record_id,
       1::BIGINT AS _object_id, n AS _position, id AS _transaction_id, ms AS _response_time,
       false AS _timestamp_approximate,
       NULL::BIGINT AS _partner_id, NULL::BIGINT AS _partner_position
FROM record"""
_SAGEMAKER = f"""
WITH event AS (
  SELECT eventMetadata.eventId AS id, eventMetadata.inferenceTime AS ts,
         string_split(rtrim(captureData.endpointInput.data, chr(10)), chr(10)) AS inputs,
         from_json(captureData.endpointOutput.data,
           '{{"predictions": [{{"score": "DOUBLE", "predicted_label": "VARCHAR"}}]}}').predictions AS outputs
  FROM read_json('%s', format = 'newline_delimited', columns = {{
    captureData: 'STRUCT(endpointInput STRUCT(data VARCHAR), endpointOutput STRUCT(data VARCHAR))',
    eventMetadata: 'STRUCT(eventId VARCHAR, inferenceTime TIMESTAMPTZ)'}})),
record AS (
  SELECT id, ts, string_split(unnest(inputs), ',') AS v, unnest(outputs) AS o,
         generate_subscripts(inputs, 1) AS n FROM event)
SELECT id || '-' || n AS scoring_id, ts AS scoring_timestamp, 'credit' AS deployment_id,
       NULL::VARCHAR AS asset_revision, {_FEATURES}, o.predicted_label AS prediction,
       [1 - o.score, o.score] AS probability, greatest(1 - o.score, o.score) AS prediction_probability,
       md5(id || '-' || n) AS _record_id, 1::BIGINT AS _object_id, n AS _position, id AS _transaction_id,
       NULL::BIGINT AS _response_time, false AS _timestamp_approximate,
       NULL::BIGINT AS _partner_id, NULL::BIGINT AS _partner_position
FROM record"""


def _binary(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    from pgpq import ArrowToPostgresBinaryEncoder

    encoder = ArrowToPostgresBinaryEncoder(reader.schema)
    yield encoder.write_header()
    for batch in reader:
        yield encoder.write_batch(batch)
    yield encoder.finish()


def _csv(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    from pyarrow import csv

    probability = reader.schema.get_field_index("probability")
    options = csv.WriteOptions(include_header=False)
    for batch in reader:
        lists = batch.column(probability)
        text = pa.array(["{" + ",".join(map(str, p or ())) + "}" for p in lists.to_pylist()])
        sink = pa.BufferOutputStream()
        csv.write_csv(batch.set_column(probability, "probability", text), sink, options)
        yield sink.getvalue().to_pybytes()


def load(dsn: str, folder: str, engine: str, form: str) -> None:
    """Read, stage, merge, in one transaction."""
    table = f'"{SCHEMA}"."{NAME}"'
    source = duckdb.connect()
    source.execute("SET TimeZone = 'UTC'")
    query = (_CUSTOM if engine == "custom" else _SAGEMAKER) % f"{folder}/**/*.jsonl*"
    reader = source.sql(query).to_arrow_reader(65536)
    blocks = _binary(reader) if form == "binary" else _csv(reader)
    with psycopg.connect(dsn) as target:
        target.execute(f"CREATE TEMP TABLE stage (LIKE {table}) ON COMMIT DROP")
        target.execute("ALTER TABLE stage ALTER _record_id TYPE text")
        with target.cursor().copy(f"COPY stage FROM STDIN (FORMAT {form})") as copy:
            for block in blocks:
                copy.write(block)
        columns = ", ".join(f'"{name}"' for name in _columns(target))
        values = columns.replace('"_record_id"', "_record_id::uuid")
        merge = f"INSERT INTO {table} ({columns}) SELECT {values} FROM stage ON CONFLICT DO NOTHING"
        target.execute(merge)


def _columns(target: psycopg.Connection) -> list[str]:
    result = target.execute("SELECT * FROM stage LIMIT 0")
    return [column.name for column in result.description or ()]


if __name__ == "__main__":
    load(*sys.argv[1:5])
