"""What may travel in the clear: nothing that leaves this machine, unless a connection says so."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.connections import Connection

ALLOW_HTTP = "allow_http"
_TRUE = (True, 1, "true", "1", "yes")


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine. Nothing is looked up."""
    try:
        return host.rstrip(".").lower() == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def checked_url(connection: Connection, url: str) -> str:
    """The URL, if it is https, of this machine, or allowed by ``allow_http`` in the connection's extra.

    :raises ConfigurationError: credentials and records would travel in the clear.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or is_loopback(parts.hostname or ""):
        return url
    if connection.extra.get(ALLOW_HTTP) in _TRUE:
        return url
    raise ConfigurationError(
        f"connection {connection.conn_id!r}: http:// without TLS would carry credentials and records in the "
        f'clear. Use https://, or, in a private network, say so: extra "{ALLOW_HTTP}": true'
    )


def is_here(options: Mapping[str, Any]) -> bool:
    """Whether libpq options name a server on this machine: a Unix socket or loopback."""
    given = [options.get(name) or os.environ.get(f"PG{name.upper()}", "") for name in ("host", "hostaddr")]
    hosts = ",".join(given).split(",")
    return all(is_loopback(host) for host in hosts if host and not host.startswith(("/", "@")))


def verified_tls(options: Mapping[str, Any]) -> dict[str, str]:
    """libpq options that verify the server's certificate and name, where nothing else was chosen.

    Only a server elsewhere needs them: a Unix socket and loopback do not leave the machine.

    :param options: libpq options of the connection.
    """
    chosen = any(options.get(name) for name in ("sslmode", "service")) or "PGSSLMODE" in os.environ
    if chosen or is_here(options):
        return {}
    named = options.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    own = Path("~/.postgresql/root.crt").expanduser()
    # libpq's "system" means OpenSSL's own folder, which the wheel of psycopg comes without.
    store = ssl.get_default_verify_paths().cafile or "system"
    trusted = {} if named or own.exists() else {"sslrootcert": store}
    return {"sslmode": "verify-full", **trusted}
