"""Signing in to a service, renewing tokens, and TLS with an authority of one's own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from openscale_server import serving

from paylog.connections import Connection
from paylog.errors import AccessDenied, ConfigurationError, RetriableError
from paylog.openscale.service import Service, data_marts
from paylog.subscription.delivery import Delivery
from paylog.testing.iam import TokenEndpoint

Answer = tuple[int, dict[str, Any]]


class Endpoint:
    """An HTTP service whose answers are a function of (method, path, headers, body)."""

    def __init__(self, answer: Callable[[str, str, dict[str, str], str], Answer]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("latin-1")
                status, content = answer(self.command, self.path, dict(self.headers), body)
                text = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def connection(address: str, login: str = "", password: str = "", **extra: Any) -> Connection:
    return Connection("service", "paylog_openscale", address, login, password, extra=extra)


def records_of(tokens: Callable[[str | None], bool]) -> Callable[[str, str, dict[str, str], str], Answer]:
    """A service that counts 7 records for who has a token."""

    def answer(method: str, path: str, headers: dict[str, str], body: str) -> Answer:
        if not tokens(headers.get("Authorization")):
            return 401, {"errors": []}
        return 200, {"total_count": 7, "data_marts": [{"metadata": {"id": "mart"}}]}

    return answer


DELIVERY = Delivery(data_set="d")


def test_iam_and_the_renewal_of_tokens_that_live_shortly() -> None:
    with (
        TokenEndpoint(["key"], lifetime=1) as iam,
        Endpoint(records_of(iam.accepts)) as address,
        Service(
            connection(address, iam_url=iam.url.removesuffix("/identity/token"), apikey="key"), DELIVERY
        ) as service,
    ):
        assert {service.count() for _ in range(20)} == {7}
        assert iam.issued == 1
        iam.revoke()  # before it would have ended
        assert service.count() == 7
        assert iam.issued == 2
        threading.Event().wait(1.0)
        threads = [threading.Thread(target=service.count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert service.count() == 7
        assert iam.issued == 3, "several threads fetched a token each"


def test_iam_refuses_a_wrong_key_without_showing_it() -> None:
    with TokenEndpoint(["key"]) as iam, Endpoint(records_of(iam.accepts)) as address:
        wrong = connection(address, password="canary", iam_url=iam.url.removesuffix("/identity/token"))
        with pytest.raises(AccessDenied) as raised:
            data_marts(wrong)
        assert "canary" not in str(raised.value) + repr(wrong)
        iam.fail_next(1)
        with pytest.raises(RetriableError, match="HTTP 503"):
            data_marts(connection(address, apikey="key", iam_url=iam.url.removesuffix("/identity/token")))


@pytest.mark.parametrize("secret", [{"password": "secret"}, {"api_key": "secret"}])
def test_cloud_pak_for_data_with_password_or_api_key(secret: dict[str, str]) -> None:
    asked: list[Any] = []

    def answer(method: str, path: str, headers: dict[str, str], body: str) -> Answer:
        if path == "/icp4d-api/v1/authorize":
            asked.append(json.loads(body))
            known = asked[-1] == {"username": "admin", **secret}
            return (200, {"token": "t-1", "_messageCode_": "success"}) if known else (401, {})
        return records_of(lambda given: given == "Bearer t-1")(method, path, headers, body)

    given = {"apikey": "secret"} if "api_key" in secret else {}
    password = "" if given else "secret"
    with Endpoint(answer) as address:
        assert data_marts(connection(address, "admin", password, **given)) == ["mart"]
        with Service(connection(address, "admin", password, **given), DELIVERY) as service:
            assert (service.count(), service.count()) == (7, 7)
        with pytest.raises(AccessDenied):
            data_marts(connection(address, "somebody", password, **given))
    assert len(asked) == 3


def test_a_bearer_token_is_used_as_it_is() -> None:
    with Endpoint(records_of(lambda given: given == "Bearer given")) as address:
        assert data_marts(connection(address, token="given")) == ["mart"]
        assert data_marts(connection(address, password="given", auth="bearer")) == ["mart"]
        with pytest.raises(AccessDenied):
            data_marts(connection(address, token="canary"))


@pytest.mark.parametrize("extra", [{}, {"auth": "cp4d"}, {"auth": "bearer"}, {"auth": "basic"}])
def test_missing_or_unknown_credentials_are_a_wrong_configuration(extra: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="'service'"):
        data_marts(connection("http://127.0.0.1:1", **extra))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "paylog tests")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "cert.pem", folder / "key.pem"


def test_tls_is_verified_by_the_authority_that_the_connection_names(certificate: tuple[Path, Path]) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        body = json.dumps({"data_marts": [{"metadata": {"id": "mart"}}], "total_count": 7}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    cert, key = map(str, certificate)
    with serving(application, ssl_certfile=cert, ssl_keyfile=key) as address:
        assert address.startswith("https://")
        assert data_marts(connection(address, token="t", ca_file=cert)) == ["mart"]
        with Service(connection(address, token="t", ca_file=cert), DELIVERY) as service:
            assert service.count() == 7
        with pytest.raises(RetriableError):
            data_marts(connection(address, token="t"))
        with pytest.raises(ConfigurationError, match="ca_file"):
            data_marts(connection(address, token="t", ca_file=f"{cert}.absent"))
