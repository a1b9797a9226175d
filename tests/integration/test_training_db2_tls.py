"""TLS to Db2 with IBM's driver: the certificate counts, in every way to give it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from db2_server import Db2Server
from tls_front import TlsFront, self_signed

from paylog.connections import Connection
from paylog.errors import ConfigurationError, RetriableError
from paylog.training_data.db2 import current_schema


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"), "db2")


@pytest.fixture(scope="module")
def front(db2: Db2Server, certificate: Path) -> Iterator[TlsFront]:
    with TlsFront(db2.address, certificate) as front:
        yield front


def secured(db2: Db2Server, port: int, **extra: Any) -> Connection:
    plain = db2.through(port)
    return replace(plain, extra=plain.extra | {"ssl": True} | extra)


@pytest.mark.parametrize("form", ["pem", "base64", "file"])
def test_the_servers_certificate(db2: Db2Server, front: TlsFront, certificate: Path, form: str) -> None:
    pem = certificate.read_text()
    given = {
        "pem": {"certificate_base64": pem},
        "base64": {"certificate_base64": base64.b64encode(pem.encode()).decode()},
        "file": {"SSLServerCertificate": str(certificate)},
    }
    before = front.served
    assert current_schema(secured(db2, front.port, **given[form])) == current_schema(db2.connection)
    assert front.served > before


def test_a_certificate_that_is_not_trusted(
    db2: Db2Server, front: TlsFront, tmp_path: Path, one_attempt
) -> None:
    other = self_signed(tmp_path, "other").read_text()
    for given in ({"certificate_base64": other}, {}):
        with pytest.raises(ConfigurationError, match=r"no TLS connection \(GSKit 414\)"):
            current_schema(secured(db2, front.port, **given))


def test_a_certificate_file_that_is_not_there(db2: Db2Server, front: TlsFront, one_attempt) -> None:
    with pytest.raises(ConfigurationError, match="the certificate cannot be read"):
        current_schema(secured(db2, front.port, SSLServerCertificate="nowhere.pem"))


def test_a_port_without_tls(db2: Db2Server, certificate: Path, one_attempt) -> None:
    with pytest.raises(RetriableError, match="is it Db2's TLS port"):
        current_schema(secured(db2, db2.address[1], certificate_base64=certificate.read_text()))
