"""The function that makes monthly partitions, with its owner's rights.

A role that only loads may not create tables; it may call this. The function makes nothing but a partition
of a payload table of its own schema, and none of a month that retention has dropped.
"""

from __future__ import annotations

from sqlalchemy import Connection

from paylog.data_mart.session import quoted, run

NAME = "paylog_create_partition"

# CREATE … PARTITION OF would wait for every load in progress, the caller's too; ATTACH does not.
_BODY = """
DECLARE
    payload text := 'Payload_' || subscription;
    leaf text := payload || to_char(month, '_YYYY_MM');
    parent oid;
BEGIN
    IF month <> date_trunc('month', month) OR month < '1970-01-01' OR month >= '2200-01-01' THEN
        RAISE EXCEPTION 'not a month from 1970 to 2199' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    parent := (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = current_schema() AND c.relname = payload AND c.relkind = 'p');
    IF parent IS NULL THEN
        RAISE EXCEPTION 'no such payload table' USING ERRCODE = 'undefined_table';
    END IF;
    IF EXISTS (SELECT FROM paylog_retention r
               WHERE r.subscription_id = subscription
               AND month + interval '1 month' <= r.retained_from AT TIME ZONE 'UTC') THEN
        RAISE EXCEPTION 'retention has dropped that month' USING ERRCODE = 'PLG01';
    END IF;
    IF EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
               WHERE i.inhparent = parent AND c.relname = leaf) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', leaf, payload);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', payload, leaf,
                   to_char(month, 'YYYY-MM-DD 00:00:00+00'),
                   to_char(month + interval '1 month', 'YYYY-MM-DD 00:00:00+00'));
END
"""


def create(connection: Connection) -> None:
    """Make the function in the first schema of ``search_path``."""
    found = run(connection, "SELECT current_schema()").fetchone()
    assert found is not None
    schema = quoted(found[0])
    run(
        connection,
        f"CREATE OR REPLACE FUNCTION {schema}.{NAME}(subscription text, month date) RETURNS void "
        f"LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $paylog${_BODY}$paylog$",
    )
    run(connection, f"REVOKE ALL ON FUNCTION {schema}.{NAME}(text, date) FROM PUBLIC")
