"""Training data in Db2 through IBM's own driver: the same profile as from objects, and clear errors."""

from __future__ import annotations

import datetime as dt
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from db2_server import DSN, Db2Server

from paylog.connections import Connection, use_resolver
from paylog.errors import AccessDenied, ObjectNotFound, RetriableError
from paylog.subscription import Subscription
from paylog.testing.tcp_proxy import TcpProxy
from paylog.testing.training_people import as_csv, document, people
from paylog.training_data import Profile, Status, check, open_source, profile
from paylog.training_data.db2 import current_schema

SAMPLE = Path(__file__).parents[3] / "shared/samples/ibm/german_credit_data_biased_training.csv"
COLUMNS = (
    "AGE INTEGER", "SEX CHAR(10)", "INCOME DECIMAL(12,2)", "PURPOSE VARCHAR(20)", "CITY VARCHAR(40)",
    "EMPLOYED SMALLINT", "SINCE TIMESTAMP", "BORN DATE", "RISK CHAR(8)",
)  # fmt: skip
ROWS = 2_000


@pytest.fixture(scope="module", autouse=True)
def people_table(db2: Db2Server) -> None:
    db2.make("PEOPLE", COLUMNS, db2_rows(people(ROWS)))


@pytest.fixture(autouse=True)
def connections(tmp_path: Path) -> Iterator[dict[str, Connection]]:
    known = {"folder": Connection("folder", "paylog_folder", extra={"path": str(tmp_path)})}
    use_resolver(known.__getitem__)
    yield known
    use_resolver(None)


@pytest.fixture
def login(db2: Db2Server, connections: dict[str, Connection]) -> Db2Server:
    connections["db2"] = db2.connection
    return db2


def db2_rows(frame: pd.DataFrame) -> list[list[Any]]:
    return [[db2_cell(value) for value in row] for row in frame.itertuples(index=False)]


def db2_cell(value: Any) -> Any:
    """What the driver binds: no numpy types, decimals for doubles."""
    match value:
        case float() if np.isnan(value):
            return None
        case float():
            return Decimal(f"{value:.2f}")
        case bool():
            return int(value)
        case pd.Timestamp():
            return value.to_pydatetime()
        case np.generic():
            return value.item()
    return value


def subscription(table: str = "people", **reference: Any) -> Subscription:
    where = {"type": "db2", "connection": "db2", "table": table}
    return Subscription.model_validate(document(**where | reference))


def profiled(one: Subscription) -> Profile:
    return profile(open_source(one), one)


def figures(found: Profile) -> dict[str, Any]:
    return {key: value for key, value in found.to_dict().items() if key not in ("source", "found")}


def test_the_same_profile_as_from_objects(login: Db2Server, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(as_csv(people(ROWS)))
    people(ROWS).to_parquet(tmp_path / "people.parquet")
    from_db2 = profiled(subscription())
    for name in ("people.csv", "people.parquet"):
        objects = Subscription.model_validate(document(type="cos", connection="folder", object=name))
        assert figures(profiled(objects)) == figures(from_db2), name
    assert [column.type for column in from_db2.found][:4] == ["INTEGER", "CHARACTER", "DECIMAL", "VARCHAR"]
    assert from_db2.source.location.endswith(".PEOPLE")


def test_clean_data_raises_nothing(login: Db2Server) -> None:
    result = check(subscription(table="PEOPLE"))
    assert (result.findings, result.status) == ((), Status.PASSED)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample files are not there")
def test_german_credit_data_of_every_type(login: Db2Server, tmp_path: Path) -> None:
    """IBM's 5,000 rows, with a decimal, a date, a timestamp, nulls and text beyond ASCII beside them."""
    credit = pd.read_csv(SAMPLE).drop(columns=["Sex", "Age"])
    frame = pd.concat([credit.drop(columns="Risk"), people(5_000).assign(Risk=credit["Risk"])], axis=1)
    kinds = {name: "INTEGER" if credit[name].dtype == "int64" else "VARCHAR(40)" for name in credit}
    table = [f'"{n}" {k}' for n, k in kinds.items() if n != "Risk"] + [c.title() for c in COLUMNS]
    login.make("GERMAN_CREDIT", table, db2_rows(frame))
    fields = [
        {"name": n, "type": "integer" if k == "INTEGER" else "string"}
        for n, k in kinds.items()
        if n != "Risk"
    ]
    (tmp_path / "german.csv").write_bytes(as_csv(frame))
    found = []
    for reference in (
        {"type": "db2", "connection": "db2", "table": "german_credit"},
        {"type": "cos", "connection": "folder", "object": "german.csv"},
    ):
        changed = document(**reference)
        changed["model_schema"]["fields"] = fields + changed["model_schema"]["fields"]
        found.append(profiled(Subscription.model_validate(changed)))
    assert figures(found[0]) == figures(found[1])
    assert (found[0].rows, len(found[0].columns)) == (5_000, 27)


def test_it_streams(login: Db2Server) -> None:
    login.make("LONG_ONE", ["AGE INTEGER"], [[n] for n in range(9_000)])
    sizes = [batch.num_rows for batch in open_source(subscription("long_one")).chunks(["Age"])]
    assert sizes == [8192, 808]


def test_names_as_the_catalog_spells_them(login: Db2Server) -> None:
    login.make('"Mixed Case"', ['"Age" INTEGER', '"sex" CHAR(5)', "CITY VARCHAR(9)"], [[1, "m", "Łódź"]])
    data = open_source(subscription("Mixed Case"))
    assert [column.name for column in data.columns] == ["Age", "sex", "City"]
    (batch,) = data.chunks()
    assert batch.to_pylist() == [{"Age": 1, "sex": "m", "City": "Łódź"}]


def test_types_and_nulls(login: Db2Server) -> None:
    kinds = ["SMALLINT", "BIGINT", "REAL", "DOUBLE", "DECIMAL(9,3)", "CHAR(6)", "TIME", "DATE", "TIMESTAMP"]
    values = [-1, 2**62, 1.5, 0.1, Decimal("-1.250"), "ä b", dt.time(1, 2, 3), dt.date(2024, 2, 29)]
    moment = dt.datetime(2024, 2, 29, 1, 2, 3, 456789)
    columns = [f"C{n} {kind}" for n, kind in enumerate(kinds)]
    login.make("KINDS", columns, [[*values, moment], [None] * 9])
    (batch,) = open_source(subscription("kinds")).chunks()
    assert list(batch.to_pylist()[0].values()) == [
        -1, 2**62, 1.5, 0.1, "-1.250", "ä b", "01:02:03", dt.date(2024, 2, 29), moment,
    ]  # fmt: skip
    assert set(batch.to_pylist()[1].values()) == {None}


def test_the_version_changes_with_the_rows(login: Db2Server) -> None:
    login.make("GROWING", ["AGE INTEGER"], [[1]])
    before = open_source(subscription("growing")).version
    login.make("GROWING", ["AGE INTEGER"], [[1], [2]])
    assert open_source(subscription("growing")).version != before


def test_text_that_lost_characters_on_its_way(login: Db2Server) -> None:
    """What a conversion to a wrong code page leaves: the substitution character, or mojibake."""
    rows = db2_rows(people(200))
    for row in rows[:20]:
        row[4] = "Z\x1arich"
    for row in rows[20:40]:
        row[4] = "ZÃ¼rich"
    login.make("DAMAGED", COLUMNS, rows)
    (finding,) = check(subscription("damaged")).findings
    assert (finding.code, finding.column) == ("TEXT_DAMAGED", "City")
    assert finding.found.startswith("40 of 200 (20 %)")


def test_wrong_password(db2: Db2Server, connections: dict[str, Connection]) -> None:
    connections["db2"] = db2.as_user("db2inst1", "mistyped-77")
    with pytest.raises(AccessDenied, match="user name or password is wrong") as caught:
        open_source(subscription())
    assert "mistyped-77" not in f"{caught.value} {caught.value.__cause__}"
    (finding,) = check(subscription()).findings
    assert finding.code == "ACCESS_DENIED"


def test_no_permission(db2: Db2Server, connections: dict[str, Connection]) -> None:
    if DSN:
        pytest.skip("a real Db2 has no user of ours without rights")
    schema = current_schema(db2.connection)
    connections["db2"] = db2.as_user("nobody", "nothing")
    with pytest.raises(AccessDenied, match=r"may not read it \(SQL0551, SQLSTATE 42501\): GRANT SELECT"):
        profiled(subscription(schema=schema))


def test_missing_table_and_schema(login: Db2Server) -> None:
    with pytest.raises(ObjectNotFound, match=r"no table 'poeple' .*did you mean 'PEOPLE'"):
        open_source(subscription("poeple"))
    with pytest.raises(ObjectNotFound, match="has no tables"):
        open_source(subscription(schema="NOWHERE"))


def test_missing_database(db2: Db2Server, connections: dict[str, Connection]) -> None:
    connections["db2"] = replace(db2.through(db2.address[1]), schema="NODB")
    with pytest.raises(ObjectNotFound, match="no such database"):
        open_source(subscription())


def test_a_dropped_connection_while_reading(
    db2: Db2Server, connections: dict[str, Connection], capfd
) -> None:
    with TcpProxy(db2.address) as proxy:
        connections["db2"] = db2.through(proxy.port)
        data = open_source(subscription("people"))
        proxy.cut_after(60_000)
        with pytest.raises(RetriableError, match="connection lost"):
            list(data.chunks())
        assert proxy.cuts == 1
        proxy.cut_after(60_000)
        result = check(subscription("people"))
    assert [finding.code for finding in result.findings] == ["UNREACHABLE"]
    assert result.retriable
    assert "Traceback" not in capfd.readouterr().err


def test_nobody_listens(db2: Db2Server, connections: dict[str, Connection], one_attempt: None) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        connections["db2"] = db2.through(closed.getsockname()[1])
        with pytest.raises(RetriableError, match="no answer from Db2"):
            open_source(subscription())


def test_the_button_of_the_connection_form(db2: Db2Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from paylog.airflow.hooks import IbmDb2Hook

    def define(connection: Connection) -> None:
        fields = {key: getattr(connection, key) for key in ("host", "port", "login", "password", "schema")}
        text = json.dumps({"conn_type": "ibm_db2", "extra": connection.extra} | fields)
        monkeypatch.setenv("AIRFLOW_CONN_FORM_DB2", text)

    define(db2.through(db2.address[1]))
    passed, said = IbmDb2Hook("form_db2").test_connection()
    assert passed, said
    assert current_schema(db2.connection) in said
    define(db2.as_user("db2inst1", "mistyped-77"))
    passed, said = IbmDb2Hook("form_db2").test_connection()
    assert not passed
    assert "mistyped-77" not in said
