"""Db2 credentials in every form that IBM's services and clients use → one connection string of the driver.

Forms: the fields of an Airflow connection; in its extra a flat dictionary (``hostname``, ``username``,
``password``, ``port``, ``db`` | ``database`` | ``database_name``), ``dsn`` / ``ssldsn`` /
``connection_string``, a ``uri`` or the deprecated ``{"db2": uri}``, and IBM Cloud's nested
``{"connection": {"db2": {…}}}``. TLS by ``ssl``, ``ssldsn`` or ``Security=SSL``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from paylog.connections import Connection
from paylog.errors import ConfigurationError

CONNECTION_TYPES = ("ibm_db2", "ibmdb2", "db2")
_PORT, _TLS_PORT = 50000, 50001
_NAMES = {
    "hostname": "host", "host": "host", "username": "user", "user": "user", "uid": "user",
    "password": "password", "pwd": "password", "port": "port",
    "db": "database", "database": "database", "database_name": "database", "dbname": "database",
    "ssl": "tls", "security": "tls", "certificate_base64": "certificate", "certificate": "certificate",
    "sslservercertificate": "certificate_file", "ssl_server_certificate": "certificate_file",
    "authentication": "authentication", "connecttimeout": "timeout", "connect_timeout": "timeout",
    "db_type": "kind", "protocol": "protocol",
}  # fmt: skip
_TRUE = ("true", "1", "yes", "ssl", "require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class Db2Credentials:
    """Where a Db2 database is and how to sign in.

    :param certificate: PEM of the server's certificate or authority, for TLS; empty: the driver's store.
    :param certificate_file: the same as a path.
    """

    host: str
    database: str
    user: str
    port: int
    password: str = field(repr=False)
    tls: bool = False
    certificate: str = field(default="", repr=False)
    certificate_file: str = ""
    authentication: str = ""
    timeout: str = "30"

    def connection_string(self, certificate_file: str = "") -> str:
        """What ``ibm_db_dbi.connect`` takes, with the password.

        :param certificate_file: where ``certificate`` was written to.
        """
        file = certificate_file or self.certificate_file
        parts = {
            "DATABASE": self.database, "HOSTNAME": self.host, "PORT": str(self.port), "PROTOCOL": "TCPIP",
            "UID": self.user, "PWD": self.password, "Security": "SSL" if self.tls else "",
            "SSLServerCertificate": file if self.tls else "", "Authentication": self.authentication,
            "ConnectTimeout": self.timeout,
        }  # fmt: skip
        return "".join(f"{key}={value};" for key, value in parts.items() if value)


def db2_credentials(connection: Connection) -> Db2Credentials:
    """The credentials of a connection, in whatever form it has them.

    :raises ConfigurationError: another type of connection, an unknown key, or something is missing.
    """
    if connection.conn_type not in CONNECTION_TYPES:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} is of type {connection.conn_type!r}; "
            "training data in Db2 needs one of type 'ibm_db2'"
        )
    fields = {
        "host": connection.host, "user": connection.login, "password": connection.password,
        "port": connection.port, "database": connection.schema,
    }  # fmt: skip
    given = {key: value for key, value in fields.items() if value}
    given |= _read(connection.extra, connection.conn_id)
    if given.pop("kind", "db2") != "db2":
        raise _wrong(connection.conn_id, "db_type is not db2")
    given.pop("protocol", None)
    if missing := [name for name in ("host", "database", "user", "password") if not given.get(name)]:
        raise _wrong(connection.conn_id, f"{', '.join(missing)} missing")
    return _credentials(given, connection.conn_id)


def _credentials(given: dict[str, Any], conn_id: str) -> Db2Credentials:
    tls = _is_true(given.pop("tls", ""))
    certificate = _pem(str(given.pop("certificate", "")), conn_id)
    port = str(given.pop("port", _TLS_PORT if tls else _PORT))
    texts = {key: str(value) for key, value in given.items()}
    if not port.isdigit():
        raise _wrong(conn_id, "port is not a number")
    if unfit := sorted(key for key, text in texts.items() if ";" in text or text != text.strip()):
        raise _wrong(conn_id, f"{', '.join(unfit)}: Db2's driver takes no ';' and no spaces at the ends")
    return Db2Credentials(port=int(port), tls=tls, certificate=certificate, **texts)


def _read(extra: Mapping[str, Any], conn_id: str) -> dict[str, Any]:
    """One form after the other; what is written out wins over what stands in a string."""
    given: dict[str, Any] = {}
    flat: dict[str, Any] = {}
    for key, value in extra.items():
        name = key.lower()
        if value in (None, ""):  # a field of Airflow's form that was left empty
            continue
        if name in ("dsn", "connection_string", "connectionstring") or name == "ssldsn":
            given |= _of_string(str(value), conn_id) | ({"tls": True} if name == "ssldsn" else {})
        elif name == "connection" and isinstance(value, Mapping):
            given |= _of_service(value, conn_id)
        elif name in ("uri", "ssljdbcurl", "db2") and isinstance(value, str):
            given |= _of_uri(value, conn_id)
        elif name in _NAMES:
            flat[_NAMES[name]] = value
        else:
            raise _wrong(conn_id, f"extra holds {key!r}, which paylog does not know for Db2")
    return given | flat


def _of_string(text: str, conn_id: str) -> dict[str, Any]:
    """``DATABASE=…;HOSTNAME=…;PORT=…;UID=…;PWD=…;Security=SSL;``"""
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    unknown = [key.strip() for key, _, _ in pairs if key.strip().lower() not in _NAMES]
    if unknown:  # what is no plain word may be a part of a password
        named = sorted(key if key.isidentifier() else "something that is no KEY=value" for key in unknown)
        raise _wrong(conn_id, f"the connection string holds {', '.join(named)}, which paylog does not know")
    return {_NAMES[key.strip().lower()]: value for key, _, value in pairs}


def _of_uri(uri: str, conn_id: str) -> dict[str, Any]:
    """``db2://user:password@host:port/DATABASE?ssl=true`` (also ``…/DATABASE:ssl=true;``)."""
    try:
        # SQLAlchemy's scheme, db2+ibm_db, is none to urlsplit.
        parts = urlsplit(f"db2://{uri.partition('://')[2]}")
        path, _, options = parts.path.lstrip("/").partition(":")
        path, _, more = path.partition(";")
        found = {
            "host": parts.hostname, "port": parts.port, "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""), "database": unquote(path),
        }  # fmt: skip
    except ValueError:
        raise _wrong(conn_id, "the uri cannot be read; reserved characters are percent-encoded") from None
    query = ";".join(f"{key}={value}" for key, value in parse_qsl(parts.query))
    settings = _of_string(";".join((options, more, query)), conn_id)
    return {key: value for key, value in found.items() if value} | settings


def _of_service(connection: Mapping[str, Any], conn_id: str) -> dict[str, Any]:
    """IBM Cloud's service credentials, version 2."""
    service = connection.get("db2")
    if not isinstance(service, Mapping):
        raise _wrong(conn_id, "extra.connection holds no db2")
    host: Mapping[str, Any] = next(iter(service.get("hosts") or ()), {})
    login = service.get("authentication") or {}
    certificate = (service.get("certificate") or {}).get("certificate_base64", "")
    return {
        "host": host.get("hostname"), "port": host.get("port"), "database": service.get("database"),
        "user": login.get("username"), "password": login.get("password"),
        "tls": bool(certificate), "certificate": certificate,
    }  # fmt: skip


def _pem(text: str, conn_id: str) -> str:
    if not text or text.startswith("-----BEGIN"):
        return text
    try:
        pem = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        pem = ""
    if not pem.startswith("-----BEGIN"):
        raise _wrong(conn_id, "certificate_base64 is neither PEM nor base64 of it")
    return pem


def _is_true(value: object) -> bool:
    return str(value).lower() in _TRUE


def _wrong(conn_id: str, problem: str) -> ConfigurationError:
    """The values are not shown: they hold secrets."""
    return ConfigurationError(
        f"connection {conn_id!r} (Db2): {problem}. Give host, port, login, password and schema (the "
        "database), or in extra: hostname, port, username, password, database, ssl, certificate_base64; or a "
        "dsn or uri"
    )
