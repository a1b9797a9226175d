"""Stores reached as users reach them: with a role, a SAS token, a key file; and inspected."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from storage_places import BUCKET, in_gcs
from typer.testing import CliRunner

from paylog.cli.app import app
from paylog.connections import Connection
from paylog.errors import AccessDenied
from paylog.storage import connect
from paylog.subscription import read_subscriptions
from paylog.testing import azurite as emulator
from paylog.testing.azurite import Azurite
from paylog.testing.collector_logs import CollectorLog
from paylog.testing.gcs import GcsGateway, stranger_key_file
from paylog.testing.s3_gateway import S3Gateway
from paylog.testing.scored_model import CREDIT_RISK

DAY = datetime(2024, 3, 4, tzinfo=UTC)


def test_a_role_is_assumed(gcs: GcsGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto behind the gateway is S3 and STS too."""
    place = in_gcs(gcs.connection())
    place.put("log.jsonl", b"{}")
    with S3Gateway(gcs.upstream) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.endpoint)
        extra = {
            "role_arn": "arn:aws:iam::123456789012:role/reader",
            "region_name": "eu-west-1",
            "endpoint_url": "http://{}:{}".format(*gcs.upstream),
        }
        connection = Connection("s3", "aws", login="key-id", password="secret", extra=extra)
        storage = connect(connection, BUCKET, place.address.split("/", 3)[3])
        assert [item.key for item in storage.list("")] == ["log.jsonl"]
        assert [(request.method, request.status) for request in sts.requests] == [("POST", 200)]


def test_an_unknown_service_account_is_refused(gcs: GcsGateway) -> None:
    with pytest.raises(AccessDenied, match="'gcs'"):
        list(connect(gcs.connection(keyfile_dict=stranger_key_file()), BUCKET).list(""))


def test_a_service_account_in_a_file_or_as_text(gcs: GcsGateway, tmp_path: Path) -> None:
    in_gcs(gcs.connection()).put("keyed.jsonl", b"{}")
    text = json.dumps(gcs.key_file())
    (tmp_path / "key.json").write_text(text)
    for extra in ({"keyfile_dict": text}, {"keyfile_dict": None, "key_path": str(tmp_path / "key.json")}):
        found = connect(gcs.connection(**extra), BUCKET).list("runs/")
        assert any(item.key.endswith("keyed.jsonl") for item in found)


def sas_token(permissions: str) -> str:
    """An account SAS, https://learn.microsoft.com/rest/api/storageservices/create-account-sas."""
    expiry = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    parts = [emulator.ACCOUNT, permissions, "b", "sco", "", expiry, "", "http,https", "2021-12-02", "", ""]
    key = base64.b64decode(emulator.KEY)
    signature = base64.b64encode(hmac.digest(key, "\n".join(parts).encode(), hashlib.sha256)).decode()
    quoted = signature.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    return f"sv=2021-12-02&ss=b&srt=sco&sp={permissions}&se={expiry}&spr=http,https&sig={quoted}"


def test_a_sas_token_and_a_connection_string(azurite: Azurite) -> None:
    azurite.put(BUCKET, "signed/log.jsonl", b"{}")
    text = (
        f"DefaultEndpointsProtocol=http;AccountName={emulator.ACCOUNT};AccountKey={emulator.KEY};"
        f"BlobEndpoint={azurite.account_url};"
    )
    for connection in (
        azurite.connection(password="", extra={"sas_token": f"?{sas_token('rl')}"}),
        azurite.connection(password="", extra={"sas_token": f"{azurite.account_url}?{sas_token('rl')}"}),
        Connection("azure", "wasb", extra={"connection_string": text}),
    ):
        storage = connect(connection, BUCKET, "signed")
        (item,) = storage.list("")
        with storage.open(item) as chunks:
            assert b"".join(chunks) == b"{}"
    with pytest.raises(AccessDenied):
        list(connect(azurite.connection(password="", extra={"sas_token": sas_token("w")}), BUCKET).list(""))


def test_a_container_is_inspected(azurite: Azurite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = CollectorLog(
        model=CREDIT_RISK, records=20, start=DAY, end=DAY + timedelta(hours=2), objects_count=2
    )
    for item in log.objects():
        azurite.put(BUCKET, f"modelDataCollector/credit/blue/{item.key}", item.data)
    there = azurite.connection()
    fields = {"conn_type": "wasb", "host": there.host, "password": there.password}
    monkeypatch.setenv("AIRFLOW_CONN_WASB_DEFAULT", json.dumps(fields))
    printed = CliRunner().invoke(app, ["inspect", f"az://{BUCKET}/modelDataCollector/credit/blue"])
    assert printed.exit_code == 0, printed.output
    (tmp_path / "blue.yaml").write_text(printed.stdout)
    (found,) = read_subscriptions(tmp_path).subscriptions
    assert (found.service_provider, found.logs.connection) == (
        "azure_machine_learning_service",
        "wasb_default",
    )
    assert (found.logs.bucket, found.logs.prefix) == (BUCKET, "modelDataCollector/credit/blue/")
    assert found.layout.endswith("/%Y/%m/%d/%H/")
