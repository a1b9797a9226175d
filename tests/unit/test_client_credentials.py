"""Every form of credentials that the contract lists, and what is said of others."""

from __future__ import annotations

import base64
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from paylog.client.credentials import instance_guid, postgres_connection
from paylog.connections import postgres_dsn
from paylog.errors import ConfigurationError
from paylog.transport import verified_tls

URI = "postgres://loader:s%3Acret@db.example:31001/compose"
FORMS: dict[str, dict[str, Any]] = {
    "uri": {"db_type": "postgresql", "name": "mypg", "uri": URI, "maps": []},
    "uri list": {"uri": [URI]},
    "nested": {
        "connection": {
            "postgres": {
                "hosts": [{"hostname": "db.example", "port": 31001}],
                "database": "compose",
                "authentication": {"username": "loader", "password": "s:cret"},
            }
        }
    },
    "flat": {
        "db_type": "postgresql",
        "hostname": "db.example",
        "port": "31001",
        "username": "loader",
        "password": "s:cret",
        "db": "compose",
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_connection(form: str) -> None:
    found = postgres_connection(FORMS[form])
    assert (found.host, found.port, found.login, found.password, found.schema) == (
        "db.example",
        31001,
        "loader",
        "s:cret",
        "compose",
    )
    assert "s:cret" not in repr(found)
    assert postgres_dsn(found)


def test_a_certificate_is_verified_against() -> None:
    certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    text = base64.b64encode(certificate).decode()
    found = postgres_connection({**FORMS["uri"], "ca_certificate_base64": text})
    assert found.extra["sslmode"] == "verify-full"
    assert Path(found.extra["sslrootcert"]).read_bytes() == certificate


CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n"


def _root_of(certificate: bytes) -> Path:
    text = base64.b64encode(certificate).decode()
    return Path(postgres_connection({**FORMS["uri"], "ca_certificate_base64": text}).extra["sslrootcert"])


@pytest.fixture
def shared_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_same_certificate_has_the_same_file(shared_folder: Path) -> None:
    path = _root_of(CERTIFICATE)
    made = path.stat().st_ino
    assert _root_of(CERTIFICATE) == path
    assert path.stat().st_ino == made
    assert list(shared_folder.iterdir()) == [path]


@pytest.mark.parametrize("trap", ["link", "writable", "foreign"])
def test_a_certificate_that_somebody_else_can_change_is_not_trusted(shared_folder: Path, trap: str) -> None:
    path, theirs = _root_of(CERTIFICATE), shared_folder / "theirs.pem"
    theirs.write_bytes(CERTIFICATE)
    if trap == "link":
        path.unlink()
        path.symlink_to(theirs)
    elif trap == "writable":
        path.chmod(0o666)
    elif os.getuid():
        pytest.skip("only root can give a file away")
    else:
        os.chown(path, 65534, -1)
    assert _root_of(CERTIFICATE) == path
    found = path.lstat()
    assert stat.S_ISREG(found.st_mode)
    assert (found.st_uid, found.st_mode & 0o022) == (os.getuid(), 0)


def test_a_name_that_somebody_else_holds_is_left_to_them(
    shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder with the sticky bit."""

    def refused(*_: object) -> None:
        raise PermissionError

    first = _root_of(CERTIFICATE)
    first.chmod(0o666)
    monkeypatch.setattr(os, "replace", refused)
    path = _root_of(CERTIFICATE)
    assert path != first
    assert path.read_bytes() == CERTIFICATE


def test_tls_is_verified_where_it_is_only_asked_for() -> None:
    asked = {**FORMS["flat"], "ssl": True}
    assert verified_tls(postgres_connection(asked).extra | {"host": "db.example"})["sslmode"] == "verify-full"
    assert postgres_connection({**asked, "hostname": "127.0.0.1"}).extra["sslmode"] == "require"
    assert postgres_connection({**asked, "sslmode": "require"}).extra["sslmode"] == "require"


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ({"db_type": "db2", "hostname": "h"}, "db_type is 'db2'"),
        ({"uri": "mysql://u:canary@h/d"}, "does not start with postgres://"),
        ({"uri": "postgres://u:canary@h:port/d"}, "cannot be read"),
        ({"hostname": "h", "password": "canary"}, "db, username missing"),
        ({"hostname": "h", "db": "d", "username": "u", "port": "canary"}, "port is not a whole number"),
        ({"connection": {"postgres": {"hosts": [{"hostname": "h"}]}}}, "connection.postgres needs"),
        ({"uri": URI, "ca_certificate_base64": "***canary"}, "not base64"),
        ("postgres://u:canary@h/d", "are a dict"),
    ],
)
def test_what_cannot_be_used_is_said_without_a_secret(credentials: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        postgres_connection(credentials)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("key", ["instance_guid", "instance_id", "data_mart_id"])
def test_the_instance_is_named_by_any_key(key: str) -> None:
    assert instance_guid({key: "1111-2222", "apikey": "k"}) == "1111-2222"


def test_of_a_crn_the_last_part_names_the_instance() -> None:
    crn = "crn:v1:bluemix:public:aiopenscale:us-south:a/1:1111-2222::"
    assert instance_guid({"instance_id": crn}) == "1111-2222"


def test_no_instance() -> None:
    with pytest.raises(ConfigurationError, match="name no instance"):
        instance_guid({"apikey": "canary"})
