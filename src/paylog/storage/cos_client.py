"""An SDK client from a connection, with HMAC keys or an IAM API key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibm_boto3.session
from ibm_botocore.config import Config
from ibm_botocore.handlers import add_expect_header

from paylog.errors import ConfigurationError
from paylog.transport import checked_url

if TYPE_CHECKING:
    from paylog.connections import Connection

CONNECT_SECONDS, READ_SECONDS = 10, 60
IAM_ENDPOINT = "https://iam.cloud.ibm.com/identity/token"


def cos_client(connection: Connection) -> Any:
    """The S3 client of ``ibm_boto3``. Sends nothing yet; its own retries are off, ours count.

    :raises ConfigurationError: no credentials or no endpoint.
    """
    session = ibm_boto3.session.Session()
    credentials = _credentials(connection)
    client = session.client(
        "s3",
        region_name=_region(connection),
        endpoint_url=endpoint(connection),
        config=_config("oauth" if "ibm_api_key_id" in credentials else "s3v4", connection.extra),
        **credentials,
    )
    # With "Expect: 100-continue", a PUT that is answered at once (an empty body) makes the SDK misread
    # the answer to the next PUT on that connection, and wait for its end until the time-out.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client


def _credentials(connection: Connection) -> dict[str, str]:
    extra = connection.extra
    if extra.get("api_key"):
        return {
            "ibm_api_key_id": extra["api_key"],
            "ibm_service_instance_id": extra.get("service_instance_id", ""),
            "ibm_auth_endpoint": auth_endpoint(connection),
        }
    if connection.login and connection.password:
        keys = {"aws_access_key_id": connection.login, "aws_secret_access_key": connection.password}
        token = extra.get("aws_session_token")
        return {**keys, "aws_session_token": token} if token else keys
    raise ConfigurationError(
        f"connection {connection.conn_id!r} has no credentials: give an HMAC key as login (access key id) "
        "and password (secret access key), or an IAM API key in extra (api_key, service_instance_id)"
    )


def auth_endpoint(connection: Connection) -> str:
    """Where IAM tokens come from."""
    return checked_url(connection, str(connection.extra.get("auth_endpoint") or IAM_ENDPOINT))


def _region(connection: Connection) -> str:
    extra = connection.extra
    return str(extra.get("region") or extra.get("region_name") or "us-east-1")


def endpoint(connection: Connection) -> str:
    """Where the store is. Raises ``ConfigurationError`` when the connection names no endpoint."""
    port = f":{connection.port}" if connection.port else ""
    url = str(connection.extra.get("endpoint_url") or (connection.host and f"{connection.host}{port}"))
    if url:
        return checked_url(connection, url if "://" in url else f"https://{url}")
    raise ConfigurationError(
        f"connection {connection.conn_id!r} has no endpoint: set extra endpoint_url, e.g. "
        "https://s3.eu-de.cloud-object-storage.appdomain.cloud (the bucket's page in IBM Cloud names it)"
    )


def _config(signature: str, extra: dict[str, Any]) -> Config:
    return Config(
        signature_version=signature,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1},
        tcp_keepalive=True,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": extra.get("addressing_style", "path")},
    )
