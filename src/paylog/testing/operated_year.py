"""A data mart after a year of hourly runs, made by SQL: to look at, and to measure the page with.

Only control tables are filled. There are planted events: a flood of rejects, an outage that nothing was
loaded in, a day that was loaded in part, a day that the engine wrote nothing, a batch over its error budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from paylog.testing.postgres import EmbeddedPostgres

# Days before the day on which the year ends.
FLOOD, OUTAGE, HALF, SILENT, OVER_BUDGET = range(40, 43), range(95, 97), 150, 211, 3
REASONS = ("MISSING_FEATURE", "TYPE_MISMATCH", "UNKNOWN_CLASS", "MALFORMED_JSON", "NO_TIMESTAMP")


@dataclass(frozen=True)
class OperatedYear:
    """What to make.

    :param until: end of the last hour that was loaded.
    :param rows_an_hour: read on average.
    :param objects_an_hour: capture objects that each run loads, in one batch.
    """

    subscription_id: str
    until: datetime
    rows_an_hour: int = 1_150
    objects_an_hour: int = 6
    days: int = 365
    schema_version: str = "v1"

    @property
    def since(self) -> datetime:
        return self.until - timedelta(days=self.days)

    def write(self, postgres: EmbeddedPostgres, database: str, schema: str) -> None:
        """Fill the control tables, which ``DataMart.setup`` has made."""
        fill = ";\n".join((_hours(self), _RECEIPTS, _OBJECTS, _QUARANTINE, _COVERED, _OVER_BUDGET, _TOLD))
        postgres.run_scripts(
            database,
            f'SET search_path TO "{schema}"',
            fill.replace(":subscription", f"'{self.subscription_id}'")
            .replace(":version", f"'{self.schema_version}'")
            .replace(":until", f"'{self.until.isoformat()}'::timestamptz"),
            *(f"VACUUM (ANALYZE) paylog_{name}" for name in ("receipt", "object", "quarantine")),
        )


def last_hour(now: datetime) -> datetime:
    """The start of the hour that ``now`` is in, UTC."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _hours(year: OperatedYear) -> str:
    """The plan of the year, an hour a row: how much was read and rejected."""
    outage = ", ".join(map(str, OUTAGE))
    return f"""
CREATE TEMP TABLE hours ON COMMIT DROP AS
SELECT h AS start, ago, {year.objects_an_hour} AS objects, run_id, read,
       CASE WHEN ago = {SILENT} THEN 0 WHEN ago BETWEEN {FLOOD.start} AND {FLOOD.stop - 1}
            THEN (read * (0.03 + 0.02 * noise))::bigint ELSE (read * 0.004 * (0.4 + noise))::bigint END AS rejected,
       (read * 0.002 * noise)::bigint AS duplicate
FROM (
  SELECT h, 'scheduled__' || to_char(h AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"') AS run_id,
         extract(day FROM date_trunc('day', '{year.until.isoformat()}'::timestamptz, 'UTC')
                 - date_trunc('day', h, 'UTC'))::int AS ago, noise,
         greatest(1, ({year.rows_an_hour}
           * (0.75 + 0.5 * extract(epoch FROM h - '{year.since.isoformat()}') / 86400 / {year.days})
           * (1 + 0.55 * sin(2 * pi() * (extract(hour FROM h AT TIME ZONE 'UTC') - 8) / 24))
           * CASE WHEN extract(isodow FROM h AT TIME ZONE 'UTC') > 5 THEN 0.55 ELSE 1.1 END
           * (0.85 + 0.3 * noise))::bigint) AS read
  FROM (SELECT h, abs(hashtext(h::text || 'paylog') % 1000) / 1000.0 AS noise
        FROM generate_series('{year.since.isoformat()}'::timestamptz,
                             '{year.until.isoformat()}'::timestamptz - interval '1 hour', interval '1 hour') h) n
) planned
WHERE ago NOT IN ({outage}, {SILENT}) AND NOT (ago = {HALF} AND extract(hour FROM h AT TIME ZONE 'UTC') >= 14)
"""  # noqa: E501


_RECEIPTS = f"""
INSERT INTO paylog_receipt (subscription_id, batch_id, run_id, window_start, window_end, state, objects,
    bytes, read, loaded, duplicate, rejected, reasons, seconds, schema_version, finished_at)
SELECT :subscription, '0', run_id, start, start + interval '1 hour', 'committed', objects, read * 410,
    read, read - rejected - duplicate, duplicate, rejected,
    CASE WHEN rejected > 0 THEN jsonb_build_object('{REASONS[0]}', rejected) ELSE '{{}}' END,
    0.4 + read / 60000.0, :version, start + interval '1 hour 95 seconds'
FROM hours ORDER BY start
"""

_OBJECTS = """
INSERT INTO paylog_object (subscription_id, uri, version, size, last_modified, read, loaded, duplicate,
    rejected, min_scoring_timestamp, max_scoring_timestamp, receipt_id, schema_version, loaded_at)
SELECT :subscription, 'cos://payload-logs/' || to_char(start AT TIME ZONE 'UTC', 'YYYY/MM/DD/HH24')
        || '/part-' || lpad(n::text, 4, '0') || '.jsonl.gz',
    md5(start::text || n), part * 410, start + interval '59 minutes', part,
    part - CASE WHEN n = 0 THEN h.rejected + h.duplicate ELSE 0 END,
    CASE WHEN n = 0 THEN h.duplicate ELSE 0 END, CASE WHEN n = 0 THEN h.rejected ELSE 0 END,
    start + interval '1 second', start + interval '59 minutes', r.receipt_id, :version, r.finished_at
FROM hours h JOIN paylog_receipt r ON r.subscription_id = :subscription AND r.run_id = h.run_id
CROSS JOIN LATERAL (
    SELECT n, h.read / h.objects + CASE WHEN n = 0 THEN h.read % h.objects ELSE 0 END AS part
    FROM generate_series(0, h.objects - 1) n) parts
ORDER BY start, n
"""

_QUARANTINE = f"""
INSERT INTO paylog_quarantine (subscription_id, object_id, receipt_id, position, rows, reason, column_name,
    raw, created_at)
SELECT :subscription, o.object_id, o.receipt_id, p * 7, 1,
    CASE WHEN h.ago BETWEEN {FLOOD.start} AND {FLOOD.stop - 1} THEN '{REASONS[0]}'
         ELSE ('{{{",".join(REASONS)}}}'::text[])[1 + abs(hashtext(o.object_id::text || p) % 5)] END,
    ('{{duration,age,NULL,NULL,sex}}'::text[])[1 + abs(hashtext(o.object_id::text || p) % 5)],
    convert_to('{{"request": "left out"}}', 'UTF8'), o.loaded_at
FROM paylog_object o JOIN hours h ON h.start = o.min_scoring_timestamp - interval '1 second'
CROSS JOIN LATERAL generate_series(1, o.rejected) p
WHERE o.subscription_id = :subscription AND o.rejected > 0
"""

# The watermark began to count after the outage: what is older was backfilled.
_COVERED = f"""
INSERT INTO paylog_watermark (subscription_id, since, covered, complete_through, late_objects)
SELECT :subscription, day - interval '{OUTAGE.start - 1} days', covered,
    day - interval '{OVER_BUDGET} days' + interval '9 hours', 3
FROM (
    SELECT date_trunc('day', :until, 'UTC') AS day, range_agg(tstzrange(start, start + interval '1 hour'))
        + tstzmultirange(tstzrange(date_trunc('day', :until, 'UTC') - interval '{SILENT} days',
                                   date_trunc('day', :until, 'UTC') - interval '{SILENT - 1} days')) AS covered
    FROM hours WHERE ago <> {OVER_BUDGET} OR extract(hour FROM start AT TIME ZONE 'UTC') <> 9) agg
"""  # noqa: E501

# Its hour is in the plan, was loaded by no batch that was kept, and is not covered.
_OVER_BUDGET = f"""
WITH gone AS (
    DELETE FROM paylog_quarantine q USING paylog_object o JOIN hours h
        ON h.start = o.min_scoring_timestamp - interval '1 second'
    WHERE q.object_id = o.object_id AND o.subscription_id = :subscription AND h.ago = {OVER_BUDGET}
        AND extract(hour FROM start AT TIME ZONE 'UTC') = 9),
objects AS (
    DELETE FROM paylog_object o USING hours h
    WHERE o.subscription_id = :subscription AND h.ago = {OVER_BUDGET}
        AND h.start = o.min_scoring_timestamp - interval '1 second'
        AND extract(hour FROM start AT TIME ZONE 'UTC') = 9)
UPDATE paylog_receipt r SET state = 'over_budget', loaded = 0, duplicate = 0, rejected = r.read / 4,
    reasons = jsonb_build_object('{REASONS[1]}', r.read / 4)
FROM hours h WHERE r.subscription_id = :subscription AND r.run_id = h.run_id AND h.ago = {OVER_BUDGET}
    AND extract(hour FROM start AT TIME ZONE 'UTC') = 9
"""

_TOLD = f"""
INSERT INTO paylog_alert (subscription_id, cause, summary, opened_at, last_seen_at)
SELECT :subscription, 'schema_mismatch', 'A batch of ' || to_char(window_start AT TIME ZONE 'UTC',
        'YYYY-MM-DD HH24:MI') || ' was rolled back: 25.0% of its rows rejected, the error budget is 5.0%. '
        || '{REASONS[1]} ' || rejected, finished_at, finished_at
FROM paylog_receipt WHERE subscription_id = :subscription AND state = 'over_budget';
WITH profile AS (
    INSERT INTO paylog_training_profile (subscription_id, content_hash, schema_version, rows, document)
    VALUES (:subscription, 'made', :version, 5150, '{{"source": {{"location": "cos://training-data/made.csv"}}}}')
    RETURNING profile_id)
INSERT INTO paylog_training_check (subscription_id, profile_id, schema_version, status, findings, seconds, checked_at)
SELECT :subscription, profile_id, :version, 'warning', '[{{"severity": "warning", "code": "DUPLICATE_ROWS",
    "column": null, "expected": "at most 1 % repeated rows", "found": "150 of 5,150", "remedy": ""}}]', 1.2,
    max(start) FROM profile, hours GROUP BY profile_id
"""  # noqa: E501
