"""S3, Azure Blob and Google Cloud Storage over networks that fail, and stores that refuse."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paylog.connections import Connection
from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    ObjectChanged,
    ObjectNotFound,
    RetriableError,
    StopError,
)
from paylog.storage import Storage, cloud_buckets, connect
from paylog.testing.azurite import Azurite
from paylog.testing.object_store import ObjectStore
from paylog.testing.s3_gateway import S3Gateway
from paylog.testing.tcp_proxy import TcpProxy

BUCKET = "scoring-logs"
MEGABYTE = 1 << 20
CONTENT = os.urandom(9 * MEGABYTE + 321)
ATTEMPTS = 4
SECRET = base64.b64encode(b"wrong-secret-9f2c").decode()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path_factory.mktemp("seaweedfs")) as server:
        server.create_bucket(BUCKET)
        server.put(BUCKET, "large.bin", CONTENT)
        yield server


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with Azurite() as server:
        server.create_container(BUCKET)
        server.put(BUCKET, "large.bin", CONTENT)
        yield server


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_buckets, "ATTEMPTS", ATTEMPTS)
    monkeypatch.setattr(cloud_buckets, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(cloud_buckets, "LONGEST_WAIT", 0.02)
    monkeypatch.setattr(cloud_buckets, "READ_SECONDS", 2.0)


class Far:
    """A bucket server behind a link that fails."""

    def __init__(self, connection: Connection, port: int, proxy: TcpProxy) -> None:
        self.direct, self.proxy, self._port = connection, proxy, port

    def connection(self, **changes: Any) -> Connection:
        near, far = f":{self._port}", f":{self.proxy.port}"
        extra = {k: v.replace(near, far) if isinstance(v, str) else v for k, v in self.direct.extra.items()}
        return replace(self.direct, host=self.direct.host.replace(near, far), extra=extra, **changes)

    def storage(self, bucket: str = BUCKET, **changes: Any) -> Storage:
        return connect(self.connection(**changes), bucket)


@pytest.fixture(params=["s3", "azure"])
def far(request: pytest.FixtureRequest) -> Iterator[Far]:
    if request.param == "s3":
        server = request.getfixturevalue("store")
        connection = replace(server.connection(), conn_type="aws")
    else:
        server = request.getfixturevalue("azurite")
        connection = server.connection()
    with TcpProxy(("127.0.0.1", server.port)) as proxy:
        yield Far(connection, server.port, proxy)


def read(storage: Storage, key: str = "large.bin") -> bytes:
    with storage.open(storage.stat(key)) as chunks:
        return b"".join(chunks)


def test_a_body_cut_several_times_is_read_whole(far: Far) -> None:
    storage = far.storage()
    far.proxy.cut_after(2 * MEGABYTE, times=3)
    assert read(storage) == CONTENT
    assert far.proxy.cuts == 3


def test_a_link_that_always_breaks_is_given_up(far: Far) -> None:
    storage = far.storage()
    item = storage.stat("large.bin")
    far.proxy.cut_after(100_000, times=1000)
    with pytest.raises(RetriableError, match=r"large\.bin"), storage.open(item) as chunks:
        list(chunks)
    assert far.proxy.cuts >= ATTEMPTS


def test_an_object_overwritten_between_cut_and_resume(store: ObjectStore) -> None:
    store.put(BUCKET, "growing.bin", CONTENT)
    with TcpProxy(("127.0.0.1", store.port)) as proxy:
        far = Far(replace(store.connection(), conn_type="aws"), store.port, proxy)
        storage = far.storage()
        with storage.open(storage.stat("growing.bin")) as chunks:
            next(chunks)
            store.put(BUCKET, "growing.bin", CONTENT + b"more")
            proxy.cut()
            with pytest.raises(ObjectChanged, match=r"growing\.bin was overwritten"):
                list(chunks)


def test_an_append_blob_grows_under_its_reader(azurite: Azurite) -> None:
    azurite.create_append_blob(BUCKET, "log.jsonl")
    azurite.append(BUCKET, "log.jsonl", b'{"n":1}\n')
    storage = connect(azurite.connection(), BUCKET)
    before = storage.stat("log.jsonl")
    azurite.append(BUCKET, "log.jsonl", b'{"n":2}\n')
    after = storage.stat("log.jsonl")
    assert (before.size, after.size) == (8, 16)
    with pytest.raises(ObjectChanged), storage.open(before) as chunks:
        list(chunks)
    with storage.open(after, before.size) as chunks:
        assert b"".join(chunks) == b'{"n":2}\n'


def test_a_refused_connection_is_retriable(far: Far) -> None:
    storage = far.storage()
    far.proxy.refuse()
    with pytest.raises(RetriableError, match="no answer"):
        list(storage.list(""))
    assert far.proxy.connections == ATTEMPTS
    far.proxy.refuse(False)
    assert len(list(storage.list("large"))) == 1


def test_a_key_is_not_taken_for_a_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    extra = {"endpoint_url": f"http://127.0.0.1:{port}"}
    storage = connect(Connection("logs", "aws", login="key", password="secret", extra=extra), BUCKET)
    with pytest.raises(RetriableError, match=r"token request/certificate\.json: no answer"):
        storage.stat("token request/certificate.json")


def test_a_silent_store_times_out(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_buckets, "READ_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        far.proxy.port = silent.getsockname()[1]
        with pytest.raises(RetriableError, match="no answer"):
            far.storage().stat("large.bin")


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (429, "TooManyRequests"), (500, "-")])
def test_a_passing_fault_is_retried_inside(store: ObjectStore, status: int, code: str) -> None:
    with S3Gateway(("127.0.0.1", store.port)) as gateway:
        connection = replace(store.connection(endpoint_url=gateway.endpoint), conn_type="aws")
        storage = connect(connection, BUCKET)
        gateway.fail_next(ATTEMPTS - 1, status, code)
        assert [item.key for item in storage.list("large")] == ["large.bin"]
        gateway.fail_next(ATTEMPTS, status, code)
        with pytest.raises(RetriableError, match=f"{status}"):
            list(storage.list("large"))


@pytest.mark.parametrize(
    ("status", "code", "error", "hint"),
    [
        (400, "RequestTimeout", RetriableError, "400 RequestTimeout"),
        (418, "Teapot", StopError, "418 Teapot"),
        (400, "AuthorizationHeaderMalformed", ConfigurationError, "another region"),
        (301, "PermanentRedirect", ConfigurationError, "another region"),
        (403, "ExpiredToken", AccessDenied, "session token has expired"),
    ],
)
def test_what_an_answer_means(store: ObjectStore, status: int, code: str, error: Any, hint: str) -> None:
    with S3Gateway(("127.0.0.1", store.port)) as gateway:
        connection = replace(store.connection(endpoint_url=gateway.endpoint), conn_type="aws")
        gateway.fail_next(1, status, code)
        with pytest.raises(error, match=hint):
            list(connect(connection, BUCKET).list(""))
        assert len(gateway.requests) == 1


def test_refused_credentials_stop_at_once_and_say_what_to_check(far: Far, caplog: Any) -> None:
    storage = far.storage(password=SECRET)
    with caplog.at_level("DEBUG"), pytest.raises(AccessDenied, match=far.direct.conn_id) as caught:
        list(storage.list(""))
    assert caught.value.__cause__ is None
    assert SECRET not in f"{caught.value} {caplog.text} {storage!r}"
    with pytest.raises(AccessDenied), storage.open(connect(far.direct, BUCKET).stat("large.bin")):
        pytest.fail("opened")


def test_a_refused_signature_is_not_shown(azurite: Azurite) -> None:
    token = "sv=2021-12-02&ss=b&srt=sco&sp=rl&se=2099-01-01&sig=c2VjcmV0LXNpZw%3D%3D"
    connection = replace(azurite.connection(), password="", extra={"sas_token": token})
    with pytest.raises(AccessDenied) as caught:
        list(connect(connection, BUCKET).list(""))
    assert "c2VjcmV0" not in str(caught.value)


def test_a_missing_bucket(far: Far) -> None:
    with pytest.raises(ObjectNotFound, match=r"absent-bucket/.*bucket does not exist"):
        list(far.storage("absent-bucket").list(""))


def test_a_missing_object(far: Far) -> None:
    with pytest.raises(ObjectNotFound, match=r"nothing\.bin does not exist"):
        far.storage().stat("nothing.bin")


def test_the_role_of_the_machine(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile of the shared credentials file stands for every source that boto3 knows."""
    given = store.connection()
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[scoring]\naws_access_key_id={given.login}\naws_secret_access_key={given.password}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    connection = Connection("s3", "aws", extra={"endpoint_url": store.endpoint, "profile_name": "scoring"})
    assert read(connect(connection, BUCKET)) == CONTENT
