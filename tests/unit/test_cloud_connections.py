"""Connections to S3, Azure Blob and Google Cloud Storage in the fields of Airflow's own providers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from paylog.connections import Connection, parse
from paylog.errors import ConfigurationError
from paylog.storage import connect
from paylog.storage.azure_account import azure_account
from paylog.storage.cloud import CloudStorage

SAS = "sv=1&sig=2"
KEY = "c2VjcmV0LWtleQ=="
URL = "https://acme.blob.core.windows.net"


def wasb(**fields: Any) -> Connection:
    return Connection("logs", "wasb", **fields)


@pytest.mark.parametrize(
    ("connection", "settings"),
    [
        (wasb(login="acme", password=KEY), {"account_name": "acme", "account_key": KEY}),
        (wasb(host=URL, password=KEY), {"account_name": "acme", "account_key": KEY}),
        (wasb(host="acme", password=KEY), {"account_name": "acme", "account_key": KEY}),
        (wasb(login="acme", extra={"account_key": KEY}), {"account_name": "acme", "account_key": KEY}),
        (wasb(login="acme", extra={"shared_access_key": KEY}), {"account_name": "acme", "account_key": KEY}),
        (
            wasb(login="acme", extra={"extra__wasb__shared_access_key": KEY}),
            {"account_name": "acme", "account_key": KEY},
        ),
        (wasb(login="acme", extra={"sas_token": f"?{SAS}"}), {"account_name": "acme", "sas_key": SAS}),
        (wasb(extra={"sas_token": f"{URL}/?{SAS}"}), {"account_name": "acme", "sas_key": SAS}),
        (
            wasb(host=URL, login="app", password="secret", extra={"tenant_id": "t"}),
            {"account_name": "acme", "tenant_id": "t", "client_id": "app", "client_secret": "secret"},
        ),
        (wasb(host=URL), {"account_name": "acme"}),
        (
            wasb(host=URL, extra={"managed_identity_client_id": "c"}),
            {"account_name": "acme", "client_id": "c"},
        ),
        (
            wasb(extra={"connection_string": f"AccountName=acme;AccountKey={KEY};EndpointSuffix=x"}),
            {"account_name": "acme", "account_key": KEY},
        ),
        (
            wasb(extra={"connection_string": f"BlobEndpoint={URL}/;SharedAccessSignature={SAS}"}),
            {"account_name": "acme", "sas_key": SAS},
        ),
        (
            wasb(host="http://127.0.0.1:10000/acme", password=KEY),
            {"account_name": "acme", "endpoint": "http://127.0.0.1:10000/acme", "account_key": KEY},
        ),
    ],
)  # fmt: skip
def test_azure_accounts(connection: Connection, settings: dict[str, str]) -> None:
    assert azure_account(connection) == settings
    assert isinstance(connect(connection, "logs"), CloudStorage)


def test_azure_in_a_uri() -> None:
    connection = parse("logs", f"wasb://acme:{KEY.replace('=', '%3D')}@")
    assert azure_account(connection) == {"account_name": "acme", "account_key": KEY}


@pytest.mark.parametrize(
    ("connection", "problem"),
    [
        (wasb(), "does not name its storage account"),
        (wasb(extra={"connection_string": "AccountName=acme"}), "neither AccountKey nor"),
        (wasb(login="acme", password="not base64!"), "cannot be read"),
        (Connection("logs", "google_cloud_platform", extra={"keyfile_dict": "{nonsense"}), "cannot be read"),
        (Connection("logs", "google_cloud_platform", extra={"impersonation_chain": "a"}), "impersonation"),
        (Connection("logs", "google_cloud_platform", extra={"key_path": "/absent.json"}), "cannot be read"),
    ],
)
def test_mistakes(connection: Connection, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        connect(connection, "logs")
    assert "logs" in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("conn_type", ["aws", "wasb", "google_cloud_platform"])
def test_a_bucket_is_needed(conn_type: str) -> None:
    connection = Connection("x", conn_type, login="acme", password=KEY, extra={"is_anonymous": True})
    with pytest.raises(ConfigurationError, match=r"name the bucket \(logs.bucket\)"):
        connect(connection)


def test_no_keys_and_no_role(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigurationError, match="neither has this machine"):
        connect(Connection("x", "aws"), "bucket")


@pytest.mark.parametrize(
    ("conn_type", "extra"), [("aws", "s3"), ("wasb", "azure"), ("google_cloud_platform", "gcs")]
)
def test_a_missing_extra_names_the_command(conn_type: str, extra: str) -> None:
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from paylog.connections import Connection; from paylog.errors import MissingExtra\n"
        "from paylog.storage import connect\n"
        f"try: connect(Connection('logs', {conn_type!r}, login='a', password='b'), 'bucket')\n"
        "except MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert f"pip install 'paylog[{extra}]'" in done.stdout
