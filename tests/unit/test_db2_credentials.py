"""Db2 credentials in every form, and what the driver's answers mean."""

from __future__ import annotations

import base64
import sys
from typing import Any

import pytest

from paylog.connections import Connection, parse
from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    MissingExtra,
    ObjectNotFound,
    PaylogError,
    RetriableError,
    StopError,
)
from paylog.subscription.training_data import Db2Reference
from paylog.training_data.db2_credentials import db2_credentials
from paylog.training_data.db2_errors import meaning

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PEM64 = base64.b64encode(PEM.encode()).decode()
PARTS = {"hostname": "db.example.com", "username": "u", "password": "p@ss w", "port": 50001}
STRING = "DATABASE=BLUDB;HOSTNAME=db.example.com;PORT=50001;PROTOCOL=TCPIP;UID=u;PWD=p@ss w;"
URI = "db2://u:p%40ss%20w@db.example.com:50001/BLUDB"
SERVICE = {
    "db2": {
        "hosts": [{"hostname": "db.example.com", "port": 50001}],
        "database": "BLUDB",
        "authentication": {"username": "u", "password": "p@ss w"},
        "certificate": {"certificate_base64": PEM64},
    }
}
FORMS: dict[str, tuple[dict[str, Any], bool, str]] = {
    "v2 training data": (
        {**PARTS, "database_name": "BLUDB", "ssl": True, "certificate_base64": PEM64},
        True,
        PEM,
    ),
    "v1 flat": ({**PARTS, "db": "BLUDB", "db_type": "db2"}, False, ""),
    "dsn": ({"dsn": STRING}, False, ""),
    "ssldsn": ({"ssldsn": STRING}, True, ""),
    "connection string": ({"connection_string": STRING + "Security=SSL;", "certificate": PEM}, True, PEM),
    "uri": ({"uri": URI + "?ssl=true"}, True, ""),
    "SQLAlchemy's URL": ({"uri": URI.replace("db2:", "db2+ibm_db:") + ";Security=SSL"}, True, ""),
    "deprecated": ({"db2": URI}, False, ""),
    "jdbc-like options": ({"uri": URI + ":ssl=true;"}, True, ""),
    "service credentials": ({"connection": SERVICE}, True, PEM),
}


def db2(extra: dict[str, Any], **fields: Any) -> Connection:
    return Connection("my_db2", "ibm_db2", extra=extra, **fields)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same(form: str) -> None:
    extra, tls, certificate = FORMS[form]
    found = db2_credentials(db2(extra))
    place = (found.host, found.port, found.database, found.user, found.password)
    assert place == ("db.example.com", 50001, "BLUDB", "u", "p@ss w")
    assert (found.tls, found.certificate) == (tls, certificate)


def test_airflows_fields() -> None:
    found = db2_credentials(parse("my_db2", "ibm-db2://u:pw@db.example.com/TESTDB?authentication=SERVER"))
    text = found.connection_string()
    assert "HOSTNAME=db.example.com;PORT=50000;" in text
    assert "UID=u;PWD=pw;" in text
    assert "Authentication=SERVER;" in text
    assert "Security" not in text
    assert db2_credentials(db2({"ssl": "true", **PARTS, "port": None}, schema="B")).port == 50001


def test_fields_of_the_form_that_were_left_empty() -> None:
    empty = dict.fromkeys(("ssl", "certificate_base64", "dsn", "uri", "authentication"))
    found = db2_credentials(db2({**PARTS, "db": "BLUDB", **empty}))
    assert (found.host, found.tls, found.authentication) == ("db.example.com", False, "")


def test_tls_names_the_certificate() -> None:
    found = db2_credentials(db2({**PARTS, "db": "B", "ssl": True}))
    assert "Security=SSL;SSLServerCertificate=/c.pem;" in found.connection_string("/c.pem")
    filed = db2_credentials(db2({**PARTS, "db": "B", "Security": "SSL", "SSLServerCertificate": "/own.pem"}))
    assert "Security=SSL;SSLServerCertificate=/own.pem;" in filed.connection_string()


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        (Connection("my_db2", "postgres"), "type 'postgres'.*'ibm_db2'"),
        (db2({}), "host, database, user, password missing"),
        (db2({**PARTS}), "database missing"),
        (db2({**PARTS, "db": "B", "sslmode": "x"}), "'sslmode', which paylog does not know"),
        (db2({**PARTS, "db": "B", "db_type": "postgresql"}), "db_type is not db2"),
        (db2({**PARTS, "db": "B", "password": "geheim;x"}), "password: .*no ';'"),
        (db2({**PARTS, "db": "B", "port": "geheim"}), "port is not a number"),
        (db2({**PARTS, "db": "B", "ssl": 1, "certificate_base64": "geheim"}), "neither PEM nor base64"),
        (db2({"dsn": "DATABASE=B;Color=1"}), "connection string holds Color, which"),
        (db2({"dsn": "DATABASE=B;UID=u;PWD=p;geheim!;PORT=1"}), "holds something that is no KEY=value"),
        (db2({"dsn": "db2://u:geheim@h/B"}), "holds something that is no KEY=value"),
        (db2({"uri": "db2://u:geheim@h:port/B"}), "uri cannot be read"),
        (db2({"connection": {"postgres": {}}}), "holds no db2"),
    ],
)
def test_what_is_wrong_is_said_without_a_secret(connection: Connection, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        db2_credentials(connection)
    assert "geheim" not in str(caught.value)
    assert "p@ss" not in str(caught.value)


def test_secrets_are_not_in_a_repr() -> None:
    found = repr(db2_credentials(db2({**PARTS, "db": "B", "ssl": 1, "certificate_base64": PEM64})))
    assert "p@ss" not in found
    assert "CERTIFICATE" not in found


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (
            'SQL30082N  Security … reason "24" ("…"). SQLSTATE=08001',
            AccessDenied,
            "login",
        ),
        ('SQL30082N  Security … reason "1" ("…").', AccessDenied, "expired"),
        (
            'SQL30082N  Security … reason "17" ("…").',
            ConfigurationError,
            "authentication",
        ),
        ("SQL0551N  … Authorization ID: X. SQLSTATE=42501 SQLCODE=-551", AccessDenied, "GRANT SELECT"),
        ("SQL1060N  User X does not have the CONNECT privilege. SQLSTATE=08004", AccessDenied, "may not"),
        ('SQL0204N  "S.T" is an undefined name.  SQLSTATE=42704', ObjectNotFound, "does not exist"),
        (
            'SQL30061N  The database alias "X" was not found. SQLSTATE=08004',
            ObjectNotFound,
            "no such database",
        ),
        ('SQL30081N  A communication error … "TCP/IP". SQLSTATE=08001', RetriableError, "connection lost"),
        ("CLI0108E  Communication link failure. SQLSTATE=40003 SQLCODE=-99999", RetriableError, "lost"),
        ("SQL30109N  A connection failed and is re-established. SQLSTATE=08507", RetriableError, "lost"),
        ("SQL1224N  The database manager is not able. SQLSTATE=55032", RetriableError, "lost"),
        ("SQL0911N  … deadlock or timeout. SQLSTATE=40001", RetriableError, "lost"),
        (
            'SQL30081N … "sqlccSSLSocketSetup". Protocol specific error code(s): "414"',
            ConfigurationError,
            "414",
        ),
        (
            'SQL30081N … "sqlccSSLSocketSetup". Protocol specific error code(s): "420"',
            RetriableError,
            "TLS port",
        ),
        ('SQL30081N … protocol "SSL" … function "recv" … error code(s): "104"', RetriableError, "lost"),
        ("CLI0157E  Error opening a file. SQLSTATE=HY507", ConfigurationError, "certificate_base64"),
        ("SQL0332N  Character conversion from 1208 to 850. SQLSTATE=57017", StopError, "code page"),
        (
            "SQL0191N  Error occurred because of a fragmented MBCS character. SQLSTATE=22504",
            StopError,
            "code page",
        ),
        ("SQL0420N  Invalid character found in geheim. SQLSTATE=22018", StopError, "SQL0420, SQLSTATE 22018"),
        ("something else: geheim", StopError, "no code"),
    ],
)
def test_the_drivers_answers(text: str, kind: type[PaylogError], said: str) -> None:
    found = meaning(text, "db2://S.T", "my_db2")
    assert type(found) is kind
    assert said in str(found)
    assert "geheim" not in str(found)


def test_without_the_driver_the_message_holds_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from paylog.training_data.db2 import Db2Table

    monkeypatch.setitem(sys.modules, "ibm_db_dbi", None)
    reference = Db2Reference(type="db2", table="T")
    with pytest.raises(MissingExtra, match=r"pip install 'paylog\[db2\]'"):
        Db2Table(reference, db2({**PARTS, "db": "B"}), [])
