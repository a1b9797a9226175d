"""TLS to PostgreSQL, object stores and OpenScale: verified by default, and a wrong authority is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tls_front import TlsFront, self_signed

from paylog.connections import Connection, parse
from paylog.data_mart import DataMart
from paylog.errors import AccessDenied, PaylogError
from paylog.openscale.service import data_marts
from paylog.storage import connect
from paylog.testing.postgres import EmbeddedPostgres

NAME = "db.example.com"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``server.pem`` for 127.0.0.1 and ``db.example.com``, and ``stranger.pem``, which signed nothing."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("server", "stranger"):
        self_signed(folder, name, NAME)
    return folder


@pytest.fixture(scope="module")
def secure(certificates: Path, postgres: EmbeddedPostgres) -> Iterator[Connection]:
    """A PostgreSQL with TLS: its connection over TCP."""
    assert postgres.port is not None
    upstream = "127.0.0.1", postgres.port
    with TlsFront(upstream, certificates / "server.pem", postgres=True) as front:
        yield parse("mart", postgres.tcp_url(scheme="postgres", port=front.port))


def with_extra(connection: Connection, **extra: str) -> Connection:
    return replace(connection, extra=connection.extra | extra)


def answers(connection: Connection) -> bool:
    with DataMart(connection, "nowhere") as mart:
        return not mart.is_set_up()


def elsewhere(connection: Connection, **extra: str) -> Connection:
    """As if the server were on another machine: reached by name, at the address of this one."""
    return with_extra(connection, host=NAME, hostaddr="127.0.0.1", **extra)


def test_postgresql_is_verified_by_authority_and_name(secure: Connection, certificates: Path) -> None:
    right, wrong = str(certificates / "server.pem"), str(certificates / "stranger.pem")
    assert answers(elsewhere(secure, sslrootcert=right))
    with pytest.raises(AccessDenied, match=r"not trusted.*sslrootcert"):
        answers(elsewhere(secure, sslrootcert=wrong))
    with pytest.raises(AccessDenied, match="names another host"):
        answers(with_extra(elsewhere(secure, sslrootcert=right), host="other.example.com"))
    with pytest.raises(AccessDenied, match="sslrootcert"):  # nothing was said: the machine's authorities
        answers(elsewhere(secure))
    assert answers(elsewhere(secure, sslmode="require"))
    assert answers(secure)  # on this machine


def test_the_machines_own_authorities_count(
    secure: Connection, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "server.pem"))
    assert answers(elsewhere(secure))


def test_a_postgresql_without_tls_is_refused_unless_that_is_said(postgres: EmbeddedPostgres) -> None:
    plain = parse("mart", postgres.tcp_url(scheme="postgres"))
    with pytest.raises(AccessDenied, match=r"has no TLS.*sslmode"):
        answers(elsewhere(plain))
    assert answers(elsewhere(plain, sslmode="disable"))


def test_object_stores_and_openscale_refuse_a_strange_certificate(
    certificates: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paylog.storage.cos.ATTEMPTS", 1)
    assert postgres.port is not None
    with TlsFront(("127.0.0.1", postgres.port), certificates / "server.pem") as front:
        address = f"https://127.0.0.1:{front.port}"
        store = Connection("logs", "ibm_cos", login="key", password="word", extra={"endpoint_url": address})
        service = Connection("service", "paylog_openscale", host=address, password="word")
        signed = replace(service, extra={"auth": "preauth"})
        for attempt in (lambda: list(connect(store, "bucket").list("")), lambda: data_marts(signed)):
            with pytest.raises(PaylogError) as refused:
                attempt()
            assert "word" not in str(refused.value)
        assert front.served == 0
