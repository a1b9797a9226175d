"""An Azure storage account from a connection, in the fields of Airflow's ``wasb`` type."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from paylog.errors import ConfigurationError

if TYPE_CHECKING:
    from paylog.connections import Connection

_PUBLIC = ".blob.core.windows.net"


def azure_account(connection: Connection) -> dict[str, str]:
    """Settings of obstore's ``AzureStore``, from the first of these that the connection has:

    ``connection_string``, ``tenant_id`` (login and password are a service principal),
    ``shared_access_key``, ``sas_token``, password or ``account_key``, else the worker's own identity
    (managed or workload identity; ``managed_identity_client_id`` chooses one).

    The order is that of Airflow's ``WasbHook``.

    :raises ConfigurationError: the account is not named.
    """
    field = connection.extra_field
    if text := field("connection_string"):
        return _of_connection_string(str(text), connection.conn_id)
    sas = str(field("sas_token") or "")
    if sas.startswith("http"):
        url, _, sas = sas.partition("?")
        return _account(url, "", connection.conn_id) | {"sas_key": sas}
    account = _account(connection.host, connection.login, connection.conn_id)
    if tenant := field("tenant_id"):
        return account | {
            "tenant_id": str(tenant),
            "client_id": connection.login,
            "client_secret": connection.password,
        }
    if key := field("shared_access_key"):
        return account | {"account_key": str(key)}
    if sas:
        return account | {"sas_key": sas.removeprefix("?")}
    if key := connection.password or field("account_key"):
        return account | {"account_key": str(key)}
    client = field("managed_identity_client_id")
    return account | ({"client_id": str(client)} if client else {})


def _account(host: str, login: str, conn_id: str) -> dict[str, str]:
    """Account name and endpoint, from an account URL, a host name or a bare account name."""
    url = urlsplit(host if "://" in host else f"https://{host}")
    if not host:
        if not login:
            raise ConfigurationError(
                f"connection {conn_id!r} does not name its storage account: set the host to the account "
                "URL (https://<account>.blob.core.windows.net), or the login to the account's name"
            )
        return {"account_name": login}
    name = (url.hostname or "").split(".")[0]
    if (url.hostname or "").endswith(_PUBLIC) or "." not in url.netloc:
        return {"account_name": name}
    # A private endpoint or an emulator: https://127.0.0.1:10000/account
    path = url.path.strip("/")
    return {"account_name": path or name, "endpoint": f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"}


def _of_connection_string(text: str, conn_id: str) -> dict[str, str]:
    parts = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    account = _account(parts.get("BlobEndpoint", ""), parts.get("AccountName", ""), conn_id)
    if key := parts.get("AccountKey"):
        return account | {"account_key": key}
    if sas := parts.get("SharedAccessSignature"):
        return account | {"sas_key": sas}
    raise ConfigurationError(
        f"connection {conn_id!r}: the connection string holds neither AccountKey nor SharedAccessSignature"
    )
