"""``paylog doctor``: a healthy installation, and one fault at a time with its remedy."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_site import WINDOW, Site, log
from payload_blocks import query

from paylog.connections import Connection
from paylog.doctor import store_checks
from paylog.testing.object_store import ObjectStore

SERVER = {
    "MART_ANSWERS", "MART_VERSION", "MART_WRITABLE", "MART_ENCODING", "MART_TLS", "MART_CLOCK",
    "MART_DURABLE", "MART_TIME_LIMITS", "MART_MEMORY", "MART_SPACE", "MART_SCHEMA_VERSION", "MART_RIGHTS",
    "MART_CONNECTIONS",
}  # fmt: skip
LOGS = {"LOGS_LISTED", "LOGS_READ", "LOGS_TLS", "LOGS_CLOCK"}
TABLE = {"PAYLOAD_TABLE", "PARTITIONS_AHEAD"}
Found = dict[str, dict[str, str]]


@pytest.fixture
def loaded(site: Site) -> Site:
    site.write(log(records=12, objects=2, defects={}))
    site.json("run", "credit-risk", *WINDOW)
    return site


def doctor(site: Site, *arguments: object, **environment: str) -> tuple[int, Found]:
    """Exit code, and the diagnoses by code."""
    result = site.paylog("doctor", *arguments, "--json", **environment)
    return result.exit_code, {each["code"]: each for each in json.loads(result.stdout)}


def health(found: Found, *codes: str) -> set[str]:
    return {found[code]["health"] for code in codes}


def test_everything_is_looked_at_before_and_after_the_first_run(site: Site) -> None:
    code, found = doctor(site)
    assert code == 0
    assert set(found) == SERVER | LOGS | TABLE
    assert "makes" in found["MART_SCHEMA_VERSION"]["found"]
    site.write(log(records=12, objects=2, defects={}))
    site.json("run", "credit-risk", *WINDOW)
    code, found = doctor(site)
    assert code == 0
    well = {*LOGS, *SERVER} - {"MART_DURABLE", "MART_RIGHTS", "MART_SPACE", "MART_MEMORY"}
    assert health(found, *well, "PAYLOAD_TABLE") == {"ok"}
    # The tests' server is not durable, the tests are superuser, and the logs are of 2024.
    assert health(found, "MART_DURABLE", "MART_RIGHTS", "PARTITIONS_AHEAD") == {"warning"}
    assert all(each["remedy"] for each in found.values() if each["health"] == "warning")
    assert "paylog maintain" in found["PARTITIONS_AHEAD"]["remedy"]
    site.json("maintain", "--apply")
    assert health(doctor(site)[1], "PARTITIONS_AHEAD") == {"ok"}


def test_a_table_of_faults_and_remedies(loaded: Site) -> None:
    result = loaded.paylog("doctor", "credit-risk")
    assert result.exit_code == 0
    assert re.search(r"MART_DURABLE +WARNING", result.stdout)
    assert "schema payload MART_DURABLE: Turn them on" in result.stdout
    assert "19 checks: " in result.stdout


def test_what_fails_hides_nothing(loaded: Site) -> None:
    nowhere = json.dumps({"conn_type": "paylog_folder", "extra": {"path": "/no/such/folder"}})
    code, found = doctor(loaded, AIRFLOW_CONN_LOGS=nowhere)
    assert code == 5
    assert health(found, "LOGS_LISTED") == {"failed"}
    assert "AIRFLOW_CONN_LOGS" in found["LOGS_LISTED"]["remedy"]
    assert health(found, "LOGS_READ", "LOGS_TLS", "LOGS_CLOCK") == {"unknown"}
    assert health(found, "MART_ANSWERS", "PAYLOAD_TABLE") == {"ok"}

    down = json.dumps({"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "schema": "x", "login": "u"})
    code, found = doctor(loaded, AIRFLOW_CONN_MART=down)
    assert code == 75
    assert health(found, *LOGS) == {"ok"}
    assert health(found, "MART_ANSWERS", "PAYLOAD_TABLE") == {"failed"}
    assert health(found, *(SERVER - {"MART_ANSWERS"})) == {"unknown"}


def test_a_check_that_hangs_is_given_up(loaded: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(store_checks, "read_one", lambda _: released.wait(60) or "late")
    code, found = doctor(loaded, "--time-limit", 2)
    released.set()
    assert code == 75
    assert found["LOGS_READ"]["found"] == "no answer within 2 seconds"
    assert health(found, "LOGS_TLS", "MART_ANSWERS", "PAYLOAD_TABLE") == {"ok"}


VERSION = "UPDATE payload.paylog_alembic_version SET version_num = '{}'"
TABLE_OF = 'ALTER TABLE payload."Payload_credit-risk" {}'
DATABASE = "ALTER DATABASE {{database}} {}"
FAULTS = (
    (VERSION.format("0006"), "MART_SCHEMA_VERSION", "warning", "0006"),
    (VERSION.format("9999"), "MART_SCHEMA_VERSION", "failed", "9999"),
    (TABLE_OF.format("DROP asset_revision"), "PAYLOAD_TABLE", "warning", "asset_revision"),
    (TABLE_OF.format('ALTER "LoanDuration" TYPE text'), "PAYLOAD_TABLE", "failed", "LoanDuration"),
    (DATABASE.format("SET statement_timeout = '1min'"), "MART_TIME_LIMITS", "warning", "timeout = 60 s"),
    (DATABASE.format("SET default_transaction_read_only = on"), "MART_WRITABLE", "failed", "read-only"),
    (DATABASE.format("CONNECTION LIMIT 11"), "MART_CONNECTIONS", "failed", "6 loads at once need 12"),
)


def test_each_fault_is_found_with_its_remedy(loaded: Site) -> None:
    database = loaded.database.schema
    for statement, code, expected, words in FAULTS:
        query(loaded.database, statement.format(database=database))
        exit_code, found = doctor(loaded)
        assert found[code]["health"] == expected, (statement, found[code])
        assert words in found[code]["found"]
        assert found[code]["remedy"]
        assert exit_code in ((5,) if expected == "failed" else (0, 5))
        repair(loaded.database, database)


def repair(connection: Connection, database: str) -> None:
    for statement in (
        "SET default_transaction_read_only = off",
        f"ALTER DATABASE {database} RESET ALL",
        f"ALTER DATABASE {database} CONNECTION LIMIT -1",
    ):
        query(connection, f"BEGIN READ WRITE; {statement}; COMMIT")


def test_rights_of_roles_that_are_too_small_or_too_great(loaded: Site) -> None:
    database = loaded.database
    role = f"weak_{database.schema}"
    query(database, f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA payload TO {role}")
    query(database, f"GRANT SELECT ON ALL TABLES IN SCHEMA payload TO {role}")
    here = {"schema": database.schema, "port": database.port, "extra": database.extra}
    weak = json.dumps({"conn_type": "postgres", "login": role, **here})
    code, found = doctor(loaded, AIRFLOW_CONN_MART=weak)
    assert code == 5
    assert "INSERT on paylog_object" in found["MART_RIGHTS"]["found"]
    assert "INSERT on Payload_credit-risk" in found["MART_RIGHTS"]["found"]
    assert "EXECUTE on paylog_create_partition" in found["MART_RIGHTS"]["found"]
    loaded.subscribe(data_mart={"connection": "mart", "schema": "payload", "owner_connection": "weak",
                                "read_connection": "weak"})  # fmt: skip
    code, found = doctor(loaded, AIRFLOW_CONN_WEAK=weak)
    assert "does not own paylog_" in found["MART_OWNER"]["found"]
    assert "SELECT on paylog_quarantine.raw" in found["MART_READER"]["found"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path / "objects") as started:
        yield started


def test_the_clock_of_an_object_store(store: ObjectStore) -> None:
    from paylog.storage.address import address, clock_ahead

    where = address(store.connection("logs"))
    assert where is not None
    ahead = clock_ahead(where)
    assert ahead is not None
    assert abs(ahead.total_seconds()) < 3
    for seconds, expected in ((1, "ok"), (60, "warning"), (-3600, "failed")):
        answer: Any = store_checks.of_clock(type(ahead)(seconds=seconds), "the store")
        assert answer.health == expected
