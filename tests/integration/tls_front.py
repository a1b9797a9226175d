"""TLS before a server that has none: a self-signed certificate and a proxy that takes it off."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


def self_signed(folder: Path, name: str, *hosts: str) -> Path:
    """A PEM file with a certificate for 127.0.0.1 and ``hosts``; its key is beside it, ending in ``.key``."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address(HOST))
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address, *map(x509.DNSName, hosts)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    path.with_suffix(".key").write_bytes(secret)
    return path


# PostgreSQL's protocol, "SSLRequest": length 8, code 80877103; the server answers S and TLS begins.
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class TlsFront:
    """Listens with TLS and passes on in the clear; a context manager.

    :param postgres: speak PostgreSQL's way of beginning TLS (the server from the wheel is built without).
    """

    def __init__(self, upstream: tuple[str, int], certificate: Path, *, postgres: bool = False) -> None:
        self._upstream = upstream
        self._postgres = postgres
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.served = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> TlsFront:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._postgres and client.recv(8) == _SSL_REQUEST:
                    client.sendall(b"S")
                secure = self._context.wrap_socket(client, server_side=True)
            except OSError:  # no TLS, or the certificate is not trusted
                client.close()
                continue
            self.served += 1
            server = socket.create_connection(self._upstream)
            for one, other in ((secure, server), (server, secure)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
