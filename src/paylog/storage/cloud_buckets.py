"""A bucket from a connection, in the fields that Airflow's own providers use."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from obstore.store import AzureStore, GCSStore, S3Store

from paylog.errors import ConfigurationError, MissingExtra
from paylog.storage.address import s3_endpoint, s3_region
from paylog.storage.azure_account import azure_account
from paylog.storage.cloud import Bucket
from paylog.transport import checked_url

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

    from paylog.connections import Connection

ATTEMPTS = 6
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0
_BODY_SECONDS = 24 * 3600.0  # a body is read as slowly as its rows are loaded


def s3_bucket(connection: Connection, bucket: str) -> Bucket:
    """As Airflow's ``aws`` connection: keys, ``role_arn``, ``profile_name``, or the machine's own role."""
    endpoint = s3_endpoint(connection)
    settings = {"region": s3_region(connection)}
    if endpoint:
        settings["endpoint"] = endpoint
    settings |= _s3_credentials(connection)
    return _bucket(connection, bucket, "s3", S3Store, settings, endpoint)


def azure_container(connection: Connection, container: str) -> Bucket:
    """As Airflow's ``wasb`` connection: account key, SAS token, service principal or managed identity."""
    account = azure_account(connection)
    return _bucket(connection, container, "az", AzureStore, account, account.get("endpoint", ""))


def gcs_bucket(connection: Connection, bucket: str) -> Bucket:
    """As Airflow's ``google_cloud_platform`` connection: key file, key JSON, or the machine's own account."""
    settings = _gcs_credentials(connection)
    endpoint = str(connection.extra.get("endpoint_url") or "")
    if endpoint:
        settings["base_url"] = endpoint
    return _bucket(connection, bucket, "gs", GCSStore, settings, endpoint)


def _bucket(
    connection: Connection,
    name: str,
    scheme: str,
    store: Callable[..., Any],
    settings: Mapping[str, Any],
    endpoint: str,
) -> Bucket:
    if not name:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} is an object store: name the bucket (logs.bucket)"
        )
    checked_url(connection, endpoint)
    try:
        made = store(
            name, client_options=_client(endpoint.startswith("http://")), retry_config=_retries(), **settings
        )
    except Exception:  # its text may repeat the credentials
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: the credentials or the endpoint cannot be read"
        ) from None
    return Bucket(made, f"{scheme}://{name}/", connection.conn_id)


def _s3_credentials(connection: Connection) -> dict[str, Any]:
    extra = connection.extra
    keys = {
        "access_key_id": connection.login or extra.get("aws_access_key_id"),
        "secret_access_key": connection.password or extra.get("aws_secret_access_key"),
    }
    if not all(keys.values()) or extra.get("role_arn"):
        return {"credential_provider": _role(connection)}
    token = extra.get("aws_session_token")
    return {**keys, "session_token": token} if token else keys


def _role(connection: Connection) -> Callable[[], Any]:
    """What boto3 finds: a profile, the machine's or pod's role, and ``role_arn`` assumed with it."""
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider, StsCredentialProvider
    except ImportError:
        raise MissingExtra(
            f"connection {connection.conn_id!r} names no keys; roles need boto3: pip install 'paylog[s3]'"
        ) from None
    extra = connection.extra
    session = boto3.Session(
        connection.login or None,
        connection.password or None,
        region_name=extra.get("region_name"),
        profile_name=extra.get("profile_name"),
    )
    if session.get_credentials() is None:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} has no credentials, and neither has this machine: give an "
            "access key as login and its secret as password, or a role to the worker"
        )
    if not extra.get("role_arn"):
        return Boto3CredentialProvider(session)
    assumed = StsCredentialProvider(
        session,
        RoleArn=extra["role_arn"],
        RoleSessionName="paylog",
        **extra.get("assume_role_kwargs", {}),
    )

    def in_utc() -> Any:
        # obstore takes no other time zone object for UTC, and boto3 gives dateutil's.
        found = assumed()
        expires_at = found["expires_at"]
        return {**found, "expires_at": expires_at.astimezone(UTC) if expires_at else None}

    return in_utc


def _gcs_credentials(connection: Connection) -> dict[str, Any]:
    field = connection.extra_field
    if unknown := [
        name for name in ("impersonation_chain", "credential_config_file", "key_secret_name") if field(name)
    ]:
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: paylog does not know {unknown}: give key_path or "
            "keyfile_dict, or let the worker's own service account sign in"
        )
    if field("is_anonymous"):
        return {"skip_signature": True}
    if key := field("keyfile_dict"):
        return {"service_account_key": key if isinstance(key, str) else json.dumps(key)}
    return {"service_account": str(path)} if (path := field("key_path")) else {}


def _client(allow_http: bool) -> ClientConfig:
    return {
        "allow_http": allow_http,
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=READ_SECONDS),
        "timeout": timedelta(seconds=_BODY_SECONDS),
    }


def _retries() -> RetryConfig:
    return {
        "max_retries": ATTEMPTS - 1,
        "retry_timeout": timedelta(seconds=_BODY_SECONDS),
        "backoff": {
            "init_backoff": timedelta(seconds=FIRST_WAIT),
            "max_backoff": timedelta(seconds=LONGEST_WAIT),
            "base": 2,
        },
    }
