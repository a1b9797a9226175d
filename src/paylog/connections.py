"""Named connections: Airflow's own inside Airflow, ``AIRFLOW_CONN_*`` variables everywhere.

Secrets live here and nowhere else; no message and no repr shows a password, an extra or a URI.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from paylog.errors import ConfigurationError

ENVIRONMENT_PREFIX = "AIRFLOW_CONN_"

_JSON_KEYS = frozenset({"conn_type", "description", "host", "login", "password", "port", "schema", "extra"})
# What libpq 18 understands (PQconndefaults), without the ones a Connection has a field for.
_LIBPQ_OPTIONS = frozenset({
    "service", "passfile", "channel_binding", "connect_timeout", "host", "hostaddr", "client_encoding",
    "options", "application_name", "fallback_application_name", "keepalives", "keepalives_idle",
    "keepalives_interval", "keepalives_count", "tcp_user_timeout", "sslmode", "sslnegotiation",
    "sslcompression", "sslcert", "sslkey", "sslcertmode", "sslpassword", "sslrootcert", "sslcrl",
    "sslcrldir", "sslsni", "requirepeer", "require_auth", "min_protocol_version", "max_protocol_version",
    "ssl_min_protocol_version", "ssl_max_protocol_version", "gssencmode", "krbsrvname", "gsslib",
    "gssdelegation", "target_session_attrs", "load_balance_hosts",
})  # fmt: skip
# Extras of Airflow's PostgreSQL connection form that are not for libpq.
_AIRFLOW_POSTGRES_EXTRAS = frozenset(
    {
        "iam", "redshift", "redshift-serverless", "cursor", "cluster-identifier", "workgroup-name",
        "aws_conn_id", "azure_conn_id", "sqlalchemy_scheme", "sqlalchemy_query",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Connection:
    """Where a store is and how to sign in. ``schema`` is the database name of a PostgreSQL connection."""

    conn_id: str
    conn_type: str
    host: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    port: int | None = None
    schema: str = ""
    extra: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def extra_field(self, name: str) -> Any:
        """An extra, also under the name that older Airflow forms gave it (``extra__<type>__<name>``)."""
        return self.extra.get(name) or self.extra.get(f"extra__{self.conn_type}__{name}")


Resolver = Callable[[str], Connection]


def environment_variable(conn_id: str) -> str:
    """The variable that defines ``conn_id``, by Airflow's rule."""
    return ENVIRONMENT_PREFIX + conn_id.upper()


def from_environment(conn_id: str, environ: Mapping[str, str] | None = None) -> Connection:
    """The connection that ``AIRFLOW_CONN_<CONN_ID>`` defines.

    :raises ConfigurationError: the variable is absent, empty or unreadable.
    """
    variable = environment_variable(conn_id)
    text = (os.environ if environ is None else environ).get(variable, "").strip()
    if not text:
        raise ConfigurationError(
            f"connection {conn_id!r} is not defined: set {variable} to a URI "
            "(postgres://user:password@host:5432/database, reserved characters percent-encoded) or to JSON "
            '({"conn_type": "postgres", "host": "…", "login": "…", "password": "…", "schema": "database"}), '
            "or add it to Airflow's connections"
        )
    return parse(conn_id, text)


_resolver: Resolver = from_environment


def resolve(conn_id: str) -> Connection:
    """The connection of that id.

    :raises ConfigurationError: it is not defined, or cannot be read.
    """
    return _resolver(conn_id)


def use_resolver(resolver: Resolver | None) -> None:
    """Look connections up with ``resolver`` from now on; None goes back to the environment."""
    global _resolver
    _resolver = resolver or from_environment


def parse(conn_id: str, text: str) -> Connection:
    """A connection from Airflow's JSON form (text that starts with ``{``) or URI form.

    :raises ConfigurationError: the text cannot be read. The text is not repeated: it holds secrets.
    """
    text = text.strip()
    kind, read = ("JSON", _from_json) if text.startswith("{") else ("URI", _from_uri)
    try:
        return read(conn_id, text)
    except (ValueError, TypeError, AttributeError) as error:
        where = f", at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        # The cause is cut off: its message quotes a part of the text.
        raise _unreadable(
            conn_id, f"the {kind} cannot be read{where}; reserved characters of a URI are percent-encoded"
        ) from None


def _from_json(conn_id: str, text: str) -> Connection:
    document = json.loads(text)
    if unknown := sorted(set(document) - _JSON_KEYS):
        raise _unreadable(conn_id, f"unknown keys {unknown}; known ones are {sorted(_JSON_KEYS)}")
    port = document.get("port")
    return Connection(
        conn_id=conn_id,
        conn_type=_connection_type(conn_id, str(document.get("conn_type") or "")),
        host=document.get("host") or "",
        login=document.get("login") or "",
        password=document.get("password") or "",
        port=int(port) if port else None,
        schema=document.get("schema") or "",
        extra=_extra(conn_id, document.get("extra")),
    )


def _from_uri(conn_id: str, uri: str) -> Connection:
    """Airflow's rules, ``airflow.sdk.Connection.from_uri``: ``type://[protocol://]login:password@host…``."""
    schemes = uri.count("://")
    if not 1 <= schemes <= 2:
        raise _unreadable(conn_id, "a URI reads type://login:password@host:port/schema?key=value")
    scheme = urlsplit(uri).scheme
    rest = uri.replace(f"{scheme}://", "" if schemes == 2 else "//")
    if schemes == 2 and set("@:") & set(rest.split("://", 1)[0]):
        raise _unreadable(conn_id, "the protocol of the host must follow type:// at once")
    parts = urlsplit(rest)
    host = _host(parts)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Connection(
        conn_id=conn_id,
        conn_type=_connection_type(conn_id, scheme),
        host=f"{parts.scheme}://{host}" if schemes == 2 and host else host,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        port=parts.port,
        schema=unquote(parts.path[1:]),
        extra=_extra(conn_id, query["__extra__"]) if "__extra__" in query else dict(query),
    )


def _host(parts: SplitResult) -> str:
    """The host with its case kept when it is a path (urlsplit lowers it)."""
    host = unquote(parts.hostname or "")
    if "/" in host:
        host = unquote(parts.netloc.rsplit("@", 1)[-1].split(":", 1)[0])
    return host


def _connection_type(conn_id: str, name: str) -> str:
    if not name:
        raise _unreadable(conn_id, "the connection type (conn_type, or the URI's scheme) is missing")
    return "postgres" if name == "postgresql" else name.replace("-", "_")


def _extra(conn_id: str, extra: object) -> dict[str, Any]:
    if isinstance(extra, str) and extra:
        extra = json.loads(extra)
    if not extra:
        return {}
    if not isinstance(extra, dict):
        raise _unreadable(conn_id, "extra must be a JSON object")
    return extra


def _unreadable(conn_id: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"connection {conn_id!r} ({environment_variable(conn_id)}): {problem}")


def postgres_dsn(connection: Connection) -> str:
    """The libpq connection string, with the password. ``extra`` holds libpq options; its ``host`` wins.

    :raises ConfigurationError: another type of connection, or an extra that libpq does not know.
    """
    if connection.conn_type != "postgres":
        raise ConfigurationError(
            f"connection {connection.conn_id!r} is of type {connection.conn_type!r}; "
            "a data mart needs one of type 'postgres'"
        )
    options = {k: v for k, v in connection.extra.items() if k not in _AIRFLOW_POSTGRES_EXTRAS}
    if unknown := sorted(set(options) - _LIBPQ_OPTIONS):
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: extra holds {unknown}, which PostgreSQL's client does not "
            "know; see the parameter key words of libpq (sslmode, sslrootcert, connect_timeout, …)"
        )
    settings = {
        "host": connection.host,
        "port": connection.port,
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
    } | options
    return " ".join(f"{key}={_quoted(value)}" for key, value in settings.items() if value not in (None, ""))


def _quoted(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
