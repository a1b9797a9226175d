"""Where a store is reached, and what time it is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from paylog.errors import RetriableError
from paylog.storage.azure_account import azure_account

if TYPE_CHECKING:
    from paylog.connections import Connection

_SECONDS = 10


def address(connection: Connection) -> str | None:
    """The URL of an object store; None for a folder.

    :raises ConfigurationError: the connection names none.
    """
    if connection.conn_type == "ibm_cos":
        from paylog.storage.cos_client import endpoint

        return endpoint(connection)
    if connection.conn_type == "aws":
        return s3_endpoint(connection) or f"https://s3.{s3_region(connection)}.amazonaws.com"
    if connection.conn_type == "wasb":
        account = azure_account(connection)
        return account.get("endpoint") or f"https://{account['account_name']}.blob.core.windows.net"
    if connection.conn_type == "google_cloud_platform":
        return str(connection.extra.get("endpoint_url") or "https://storage.googleapis.com")
    return None


def s3_endpoint(connection: Connection) -> str:
    """Endpoint of a store that is not Amazon's; empty for Amazon's."""
    extra, host = connection.extra, connection.host
    port = f":{connection.port}" if connection.port else ""
    url = f"{host if '://' in host else f'https://{host}'}{port}" if host else ""
    service = extra.get("service_config", {}).get("s3", {})
    return str(service.get("endpoint_url") or extra.get("endpoint_url") or url)


def s3_region(connection: Connection) -> str:
    """The region that requests are signed for."""
    extra = connection.extra
    return str(extra.get("region_name") or extra.get("region") or "us-east-1")


def clock_ahead(url: str) -> timedelta | None:
    """The store's clock less this machine's, by the date of an answer to a request without credentials.

    Exact to a second. None when the answer holds no date, or none that makes sense.

    :raises RetriableError: the store does not answer.
    """
    before = datetime.now(UTC)
    try:
        with urlopen(Request(url, method="HEAD"), timeout=_SECONDS) as answer:
            date = answer.headers.get("Date")
    except HTTPError as refusal:  # an answer too
        date = refusal.headers.get("Date")
    except (OSError, HTTPException, ValueError) as error:
        raise RetriableError(f"{url} does not answer: {type(error).__name__}") from None
    took = datetime.now(UTC) - before
    try:
        # The date is cut to whole seconds.
        return parsedate_to_datetime(date or "") + timedelta(seconds=0.5) - before - took / 2
    except (ValueError, TypeError):
        return None
