"""The credentials of the documented calls: the OpenScale instance, and PostgreSQL in all its forms.

Source: contract sections 1.1 and 1.2. Nothing of them is kept beyond the process, or shown.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from paylog.connections import Connection
from paylog.errors import ConfigurationError
from paylog.transport import is_loopback

INSTANCE_KEYS = ("instance_guid", "instance_id", "data_mart_id")
CONNECTION_ID = "data_mart"
_FORMS = (
    'a "uri" (postgres://user:password@host:5432/database), IBM Cloud\'s {"connection": {"postgres": …}}, '
    "or hostname, port, username, password and db"
)


def instance_guid(credentials: Mapping[str, Any]) -> str:
    """The id of the OpenScale instance; of a CRN, its last part.

    :raises ConfigurationError: there is none.
    """
    if not isinstance(credentials, Mapping):
        raise ConfigurationError('credentials are a dict: {"instance_guid": …, "url": …, "apikey": …}')
    for key in INSTANCE_KEYS:
        if isinstance(value := credentials.get(key), str) and value:
            return value.rstrip(":").rsplit(":", 1)[-1]
    raise ConfigurationError(
        f"the credentials name no instance: give one of {', '.join(INSTANCE_KEYS)} "
        f"(keys present: {', '.join(sorted(map(str, credentials))) or 'none'})"
    )


def postgres_connection(credentials: Mapping[str, Any]) -> Connection:
    """The connection that ``db_credentials`` describe, in any form of the contract.

    :raises ConfigurationError: another database, or something is missing. Values are not repeated.
    """
    if not isinstance(credentials, Mapping):
        raise ConfigurationError(f"db_credentials are a dict: {_FORMS}")
    if (kind := str(credentials.get("db_type") or "postgresql").lower()) not in ("postgresql", "postgres"):
        raise ConfigurationError(
            f"db_type is {kind!r}; paylog's data mart is PostgreSQL (db_type postgresql)"
        )
    if isinstance(nested := credentials.get("connection"), Mapping):
        return _nested(nested)
    if uri := credentials.get("uri") or credentials.get("composed"):
        return _with_certificate(_of_uri(uri), credentials.get("ca_certificate_base64"))
    return _flat(credentials)


def _nested(connection: Mapping[str, Any]) -> Connection:
    """IBM Databases for PostgreSQL: ``connection.postgres`` with hosts, database, authentication."""
    try:
        postgres = connection["postgres"]
        host, login = postgres["hosts"][0], postgres["authentication"]
        certificate = (postgres.get("certificate") or {}).get("certificate_base64")
        found = Connection(
            CONNECTION_ID,
            "postgres",
            host=host["hostname"],
            login=login["username"],
            password=login["password"],
            port=int(host["port"]),
            schema=postgres.get("database") or "ibmclouddb",
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        missing = f" ({error.args[0]!r} is missing)" if isinstance(error, KeyError) else ""
        raise ConfigurationError(
            "db_credentials: connection.postgres needs hosts[0].hostname and .port, database, "
            f"authentication.username and .password{missing}"
        ) from None
    return _with_certificate(found, certificate)


def _of_uri(uri: object) -> Connection:
    try:
        parts = urlsplit(str(uri[0] if isinstance(uri, list) else uri))
        port = parts.port
    except ValueError:
        raise ConfigurationError("db_credentials: the uri cannot be read; use " + _FORMS) from None
    if parts.scheme not in ("postgres", "postgresql"):
        raise ConfigurationError("db_credentials: the uri does not start with postgres://; use " + _FORMS)
    return Connection(
        CONNECTION_ID,
        "postgres",
        host=unquote(parts.hostname or ""),
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        port=port,
        schema=unquote(parts.path.lstrip("/")),
        extra=dict(parse_qsl(parts.query)),
    )


def _flat(credentials: Mapping[str, Any]) -> Connection:
    """``hostname, username, password, port, db``; ``host``, ``user`` and ``database`` do as well."""
    host = credentials.get("hostname") or credentials.get("host")
    database = credentials.get("db") or credentials.get("database") or credentials.get("database_name")
    user = credentials.get("username") or credentials.get("user")
    given = {"hostname": host, "db": database, "username": user}
    if missing := [name for name, value in given.items() if not value]:
        raise ConfigurationError(f"db_credentials: {', '.join(missing)} missing; use {_FORMS}")
    # Elsewhere than here TLS is verified anyway.
    asked = credentials.get("ssl") is True and is_loopback(str(host))
    mode = credentials.get("sslmode") or ("require" if asked else None)
    try:
        port = int(credentials.get("port") or 5432)
    except (TypeError, ValueError):
        raise ConfigurationError("db_credentials: the port is not a whole number") from None
    found = Connection(
        CONNECTION_ID,
        "postgres",
        host=str(host),
        login=str(user),
        password=str(credentials.get("password") or ""),
        port=port,
        schema=str(database),
        extra={"sslmode": str(mode)} if mode else {},
    )
    return _with_certificate(found, credentials.get("certificate_base64"))


def _with_certificate(connection: Connection, certificate: object) -> Connection:
    """The connection with the server's certificate verified, where the credentials bring its authority."""
    if not certificate:
        return connection
    try:
        text = base64.b64decode(str(certificate), validate=True)
    except ValueError:
        raise ConfigurationError("db_credentials: the certificate is not base64") from None
    path = _kept(text)
    return replace(connection, extra={"sslmode": "verify-full", **connection.extra, "sslrootcert": str(path)})


def _kept(certificate: bytes) -> Path:
    """A file with the certificate, which libpq wants; it is no secret, and the same one has the same file."""
    digest = hashlib.sha256(certificate).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"paylog-ca-{os.getuid()}-{digest}.pem"
    if _is_own(path) and path.read_bytes() == certificate:
        return path
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(certificate)
    try:
        os.replace(file.name, path)
    except OSError:  # somebody else's has the name, in a folder where it cannot be taken away
        return Path(file.name)
    return path


def _is_own(path: Path) -> bool:
    """Whether nobody else can change the file: in the shared folder anybody may have made it."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
