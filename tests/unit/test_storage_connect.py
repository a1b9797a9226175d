"""Connections to storages, without a server."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from paylog.connections import Connection, parse
from paylog.errors import ConfigurationError, ObjectNotFound, RetriableError
from paylog.storage import connect
from paylog.storage.address import clock_ahead
from paylog.storage.cos import CosStorage
from paylog.storage.cos_client import cos_client
from paylog.storage.folder import FolderStorage
from paylog.storage.keys import is_capture, root_prefix

HMAC = {"login": "key-id", "password": "secret-4d2a"}
ENDPOINT = {"endpoint_url": "http://127.0.0.1:9"}


@pytest.mark.parametrize("conn_type", ["paylog_folder", "fs"])
def test_a_folder(tmp_path, conn_type) -> None:
    assert isinstance(connect(Connection("logs", conn_type, extra={"path": str(tmp_path)})), FolderStorage)


def test_a_folder_in_a_uri(tmp_path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"{}")
    uri = f"paylog-folder://{str(tmp_path).replace('/', '%2F')}"
    (item,) = connect(parse("logs", uri)).list("")
    assert item.uri == f"file://{tmp_path}/log.jsonl"


@pytest.mark.parametrize(
    ("connection", "bucket", "problem"),
    [
        (Connection("x", "postgres"), "b", r"'x' has type 'postgres'.*ibm_cos, aws, .*folder, fs"),
        (Connection("x", "paylog_folder"), "", "absolute path"),
        (Connection("x", "paylog_folder", extra={"path": "logs"}), "", "absolute path.*'logs'"),
        (Connection("x", "paylog_folder", extra={"path": "/srv/logs"}), "b", "remove logs.bucket 'b'"),
        (Connection("x", "ibm_cos", **HMAC, extra=ENDPOINT), "", "name the bucket"),
        (Connection("x", "ibm_cos", extra=ENDPOINT), "bucket", "no credentials.*api_key"),
        (Connection("x", "ibm_cos", login="key-id", extra=ENDPOINT), "bucket", "no credentials"),
        (Connection("x", "ibm_cos", **HMAC), "bucket", "no endpoint.*endpoint_url"),
        (Connection("x", "ibm_cos", **HMAC, extra=ENDPOINT), "no such/bucket", "not a valid bucket"),
    ],
)
def test_mistakes_in_a_connection(connection, bucket, problem) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){problem}"):
        list(connect(connection, bucket).list(""))


def test_a_root_folder_that_does_not_exist(tmp_path) -> None:
    with pytest.raises(ObjectNotFound, match="does not exist"):
        connect(Connection("x", "fs", extra={"path": str(tmp_path / "absent")}))


@pytest.mark.parametrize(
    ("connection", "endpoint"),
    [
        (Connection("x", "ibm_cos", **HMAC, extra=ENDPOINT), "http://127.0.0.1:9"),
        (Connection("x", "ibm_cos", "cos.test", **HMAC), "https://cos.test"),
        (Connection("x", "ibm_cos", **HMAC, extra={"endpoint_url": "cos.test"}), "https://cos.test"),
        (Connection("x", "ibm_cos", "cos.test", **HMAC, port=8443), "https://cos.test:8443"),
        (Connection("x", "ibm_cos", "http://127.0.0.1", **HMAC, port=8333), "http://127.0.0.1:8333"),
    ],
)
def test_endpoints(connection, endpoint) -> None:
    assert isinstance(connect(connection, "bucket"), CosStorage)
    assert cos_client(connection).meta.endpoint_url == endpoint


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Address of a server that says this to whoever comes first."""

    def answers() -> None:
        link, _ = server.accept()
        with link:
            link.recv(1 << 16)
            link.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=answers)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_the_clock_of_what_is_no_store() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nDate: yesterday\r\nContent-Length: 0\r\n\r\n") as url:
        assert clock_ahead(url) is None
    with answering(b"+OK ready\r\n") as url, pytest.raises(RetriableError, match="answer: BadStatusLine"):
        clock_ahead(url)
    with pytest.raises(RetriableError, match="answer: ValueError"):
        clock_ahead("s3.example")


def test_the_sdk_does_not_retry_and_does_not_wait_for_ever() -> None:
    config = cos_client(Connection("x", "ibm_cos", **HMAC, extra=ENDPOINT)).meta.config
    assert config.retries["total_max_attempts"] == 1
    assert (config.connect_timeout, config.read_timeout) == (10, 60)


def test_importing_storage_does_not_import_the_sdk() -> None:
    code = "import sys, paylog.storage; sys.exit('ibm_boto3' in sys.modules or 'ibm_botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("key", "counts"),
    [
        ("2026/01/31/09/log.jsonl.gz", True),
        ("dt=2026-01-31/part_0.json", True),
        ("a/b.tmp.json", True),
        ("_SUCCESS", False),
        ("2026/_temporary/0/part", False),
        ("a/.part.json.crc", False),
        ("a/part.crc", False),
        ("a/part.tmp", False),
        ("a/", False),
    ],
)
def test_which_keys_count(key, counts) -> None:
    assert is_capture(key) is counts


def test_root_prefix() -> None:
    assert [root_prefix(p) for p in ("", "/", "a", "a/", "/a/b/")] == ["", "", "a/", "a/", "a/b/"]
