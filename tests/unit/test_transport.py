"""What may travel without TLS, and when PostgreSQL's certificate is verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from paylog.connections import Connection
from paylog.errors import ConfigurationError
from paylog.transport import checked_url, is_loopback, verified_tls


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)
    assert checked_url(
        Connection("c", "ibm_cos"), f"http://{host.strip('[]') if ':' not in host else '[::1]'}:9000"
    )


@pytest.mark.parametrize(
    "host", ["", "10.0.0.1", "localhost.example.com", "0.0.0.0", "store", "127.0.0.1.nip.io"]
)
def test_elsewhere(host: str) -> None:
    assert not is_loopback(host)


def test_http_elsewhere_needs_permission() -> None:
    url = "http://store.example.com:9000"
    with pytest.raises(ConfigurationError, match="allow_http") as error:
        checked_url(Connection("logs", "ibm_cos", password="word"), url)
    assert "word" not in str(error.value)
    assert checked_url(Connection("logs", "ibm_cos", extra={"allow_http": True}), url) == url
    assert checked_url(Connection("logs", "ibm_cos", extra={"allow_http": "true"}), url) == url
    with pytest.raises(ConfigurationError):
        checked_url(Connection("logs", "ibm_cos", extra={"allow_http": "false"}), url)
    assert checked_url(Connection("logs", "ibm_cos"), "https://store.example.com").startswith("https")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "/var/run/postgresql"},
        {"host": "@abstract"},
        {"host": "localhost"},
        {"host": "127.0.0.1,::1"},
        {"host": "db.example.com", "sslmode": "disable"},
        {"host": "db.example.com", "sslmode": "require"},
        {"service": "mart"},
    ],
)
def test_what_is_left_to_libpq(options: dict[str, str]) -> None:
    assert verified_tls(options) == {}


@pytest.mark.parametrize("options", [{"host": "db.example.com"}, {"host": "localhost,db.example.com"},
                                     {"host": "10.1.2.3"}, {"host": "db", "hostaddr": "127.0.0.1"},
                                     {"host": "localhost", "hostaddr": "10.1.2.3"}])  # fmt: skip
def test_a_server_elsewhere_is_verified(options: dict[str, str]) -> None:
    found = verified_tls(options)
    assert found["sslmode"] == "verify-full"
    assert found["sslrootcert"] == "system" or Path(found["sslrootcert"]).exists()
    assert verified_tls({**options, "sslrootcert": "ca.pem"}) == {"sslmode": "verify-full"}


def test_an_address_in_the_environment_of_libpq_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "10.1.2.3")
    assert verified_tls({"host": "localhost"})["sslmode"] == "verify-full"


def test_the_environment_of_libpq_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    assert verified_tls({})["sslmode"] == "verify-full"
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    assert verified_tls({}) == {"sslmode": "verify-full"}
    monkeypatch.setenv("PGSSLMODE", "prefer")
    assert verified_tls({}) == {}
