"""Migrating the control tables from the first revision gives exactly a fresh schema."""

from __future__ import annotations

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from payload_blocks import SCHEMA, WINDOW, block, capture_object, load, query, subscription

from paylog.connections import Connection
from paylog.data_mart import DataMart, setup
from paylog.data_mart.control_tables import HEAD
from paylog.data_mart.session import Sessions, quoted, run
from paylog.errors import SchemaMismatch

CATALOG = {
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attstorage
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = %s::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
        AND c.relkind IN ('r', 'p') ORDER BY 1, 2""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, condeferrable, condeferred, convalidated,
               pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = %s::regnamespace ORDER BY 1, 2""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = %s ORDER BY 1, 2",
    "functions": """
        SELECT proname, proargnames, prosecdef, proconfig, prosrc FROM pg_proc
        WHERE pronamespace = %s::regnamespace ORDER BY 1""",
    "sequences": "SELECT sequencename, data_type::text FROM pg_sequences WHERE schemaname = %s ORDER BY 1",
}


def catalog(connection: Connection, schema: str) -> dict[str, list[tuple[object, ...]]]:
    """Tables, columns, types, defaults, constraints and indexes of a schema, without its name."""
    found = {}
    for kind, statement in CATALOG.items():
        name = quoted(schema) if "regnamespace" in statement else schema
        rows = query(connection, statement, name)
        found[kind] = [
            tuple(str(cell).replace(schema, "schema") if cell is not None else None for cell in row)
            for row in rows
        ]
    return found


def migrate_to(connection: Connection, schema: str, revision: str) -> None:
    """A schema as an older paylog left it."""
    sessions = Sessions(connection, schema)
    with sessions.transaction("make an old schema") as link:
        run(link, f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        run(link, f"SET LOCAL search_path TO {quoted(schema)}")
        setup.migrate(link.execution_options(schema_translate_map={}), revision)
    sessions.close()


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(setup.MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert [script.revision for script in scripts.walk_revisions()][-1] == "0001"


def test_migrating_from_the_first_revision_equals_a_fresh_schema(empty_database: Connection) -> None:
    migrate_to(empty_database, "migrated", "0001")
    before = catalog(empty_database, "migrated")
    for schema in ("migrated", "fresh"):
        with DataMart(empty_database, schema) as mart:
            mart.setup()
    migrated, fresh = (catalog(empty_database, schema) for schema in ("migrated", "fresh"))
    assert before != migrated
    for kind in CATALOG:
        assert len(fresh[kind]) > (0 if kind == "functions" else 2), kind
        assert migrated[kind] == fresh[kind]


def test_a_migration_keeps_what_was_loaded(empty_database: Connection) -> None:
    """Made by this paylog, taken back to revision 0001, then migrated."""
    owner, item = subscription(), capture_object("a")
    with DataMart(empty_database, SCHEMA) as mart:
        assert not mart.is_set_up()
        mart.setup()
        mart.ensure(owner)
        load(mart, owner, {item: [block(owner, range(5))]})
        for statement in ("DROP TABLE {0}.paylog_batch, {0}.paylog_watermark",
                          "DROP TABLE {0}.paylog_payload_finding, {0}.paylog_training_check, "
                          "{0}.paylog_training_profile",
                          "DROP TABLE {0}.paylog_data_mart, {0}.paylog_service_binding, {0}.paylog_asset, "
                          "{0}.paylog_delivery, {0}.paylog_retention, {0}.paylog_alert, {0}.paylog_audit",
                          "DROP TABLE {0}.paylog_pending, {0}.paylog_partner",
                          "DROP INDEX {}.paylog_object_grown_index",
                          "ALTER TABLE {}.paylog_receipt DROP settled, DROP replayed",
                          "ALTER TABLE {}.paylog_quarantine DROP partner_id, DROP partner_position, "
                          "DROP state, DROP closed_by, DROP closed_at, DROP first_reason, DROP replays",
                          "ALTER TABLE {}.paylog_object DROP pending, DROP freed, DROP freed_rejects, "
                          "DROP end_byte, DROP end_position, DROP end_digest",
                          "UPDATE {}.paylog_alembic_version SET version_num = '0001'"):  # fmt: skip
            query(empty_database, statement.format(quoted(SCHEMA)))
        mart.setup()
        assert mart.ledger("credit", [item.uri]) == {item.uri: "v1"}
        assert mart.advance_watermark("credit", WINDOW, WINDOW[0]).complete_through == WINDOW[1]


def test_setup_drops_nothing_of_the_user(empty_database: Connection) -> None:
    query(empty_database, f"CREATE SCHEMA {quoted(SCHEMA)}")
    query(empty_database, f"CREATE TABLE {quoted(SCHEMA, 'mine')} AS SELECT 1 AS n")
    with DataMart(empty_database, SCHEMA) as mart:
        mart.setup()
        mart.setup()
    assert query(empty_database, f"SELECT n FROM {quoted(SCHEMA, 'mine')}") == [(1,)]


def test_a_failed_migration_leaves_the_old_schema(
    empty_database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_to(empty_database, SCHEMA, "0001")
    before = catalog(empty_database, SCHEMA)
    migrate = setup.migrate

    def interrupted(*arguments: object, **options: object) -> None:
        migrate(*arguments, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, DataMart(empty_database, SCHEMA) as mart:
        patched.setattr(setup, "migrate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mart.setup()
    assert catalog(empty_database, SCHEMA) == before
    with DataMart(empty_database, SCHEMA) as mart:
        mart.setup()
    assert catalog(empty_database, SCHEMA) != before


def test_a_schema_of_a_newer_paylog_is_refused(data_mart: DataMart, database: Connection) -> None:
    query(database, f"UPDATE {quoted(SCHEMA)}.paylog_alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaMismatch, match=r"revision 9999.*upgrade paylog"):
        data_mart.setup()
