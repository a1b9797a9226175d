"""Object stores over networks that fail, and stores that refuse: COS by its SDK, S3 and Azure by obstore."""

from __future__ import annotations

import base64
import os
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import stamina

from paylog.connections import Connection
from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    ObjectChanged,
    ObjectNotFound,
    RetriableError,
    StopError,
)
from paylog.storage import Storage, cloud_buckets, connect, cos_client
from paylog.testing.azurite import Azurite
from paylog.testing.object_store import ObjectStore
from paylog.testing.s3_gateway import S3Gateway
from paylog.testing.tcp_proxy import TcpProxy

BUCKET = "scoring-logs"
MEGABYTE = 1 << 20
CONTENT = os.urandom(9 * MEGABYTE + 321)
ATTEMPTS = 4
# An account key of Azure is base64.
SECRET = base64.b64encode(b"wrong-secret-9f2c").decode()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    server = ObjectStore(tmp_path_factory.mktemp("seaweedfs"))
    server.add_identity("other-team", "other-key", "other-secret", ["Read:other-bucket", "List:other-bucket"])
    with server:
        server.create_bucket(BUCKET)
        server.put(BUCKET, "large.bin", CONTENT)
        server.put(BUCKET, "small.bin", b"small")
        yield server


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with Azurite() as server:
        server.create_container(BUCKET)
        server.put(BUCKET, "large.bin", CONTENT)
        yield server


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cloud_buckets, "ATTEMPTS", ATTEMPTS)
    monkeypatch.setattr(cloud_buckets, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(cloud_buckets, "LONGEST_WAIT", 0.02)
    monkeypatch.setattr(cloud_buckets, "READ_SECONDS", 2.0)
    stamina.set_testing(True, attempts=ATTEMPTS)
    yield
    stamina.set_testing(False)


@dataclass
class Far:
    """A bucket server behind a link that fails.

    :param near: the connection past the link.
    """

    near: Connection
    port: int
    put: Callable[[str, str, bytes], None]
    proxy: TcpProxy

    def storage(self, bucket: str = BUCKET, **changes: Any) -> Storage:
        def moved(text: Any) -> Any:
            return text.replace(f":{self.port}", f":{self.proxy.port}") if isinstance(text, str) else text

        extra = {name: moved(value) for name, value in self.near.extra.items()}
        return connect(replace(self.near, host=moved(self.near.host), extra=extra, **changes), bucket)


@pytest.fixture(params=["ibm_cos", "aws", "wasb"])
def far(request: pytest.FixtureRequest) -> Iterator[Far]:
    server = request.getfixturevalue("azurite" if request.param == "wasb" else "store")
    near = replace(server.connection(), conn_type=request.param)
    with TcpProxy(("127.0.0.1", server.port)) as proxy:
        yield Far(near, server.port, server.put, proxy)


@pytest.fixture
def gateway(store: ObjectStore) -> Iterator[S3Gateway]:
    with S3Gateway(("127.0.0.1", store.port)) as gateway:
        yield gateway


@pytest.fixture(params=["ibm_cos", "aws"])
def connection(request: pytest.FixtureRequest, store: ObjectStore, gateway: S3Gateway) -> Connection:
    """To the gateway, which notes the requests and refuses those that it is told to."""
    return replace(store.connection(endpoint_url=gateway.endpoint), conn_type=request.param)


def read(storage: Storage, key: str = "large.bin") -> bytes:
    with storage.open(storage.stat(key)) as chunks:
        return b"".join(chunks)


def test_a_body_cut_several_times_is_read_whole(far: Far) -> None:
    storage = far.storage()
    far.proxy.cut_after(2 * MEGABYTE, times=3)
    assert read(storage) == CONTENT
    assert far.proxy.cuts == 3


def test_a_cut_body_is_resumed_where_it_stopped(gateway: S3Gateway, connection: Connection) -> None:
    with TcpProxy(gateway.address) as proxy:
        there = replace(connection, extra={"endpoint_url": f"http://127.0.0.1:{proxy.port}"})
        storage = connect(there, BUCKET)
        with storage.open(storage.stat("large.bin")) as chunks:
            first = next(chunks)
            proxy.cut()
            assert first + b"".join(chunks) == CONTENT
    (resumed,) = [request.range for request in gateway.requests if request.range]
    found = re.match(r"bytes=(\d+)-", resumed)
    assert found is not None
    assert int(found[1]) >= MEGABYTE


def test_a_link_that_always_breaks_is_given_up(far: Far) -> None:
    storage = far.storage()
    item = storage.stat("large.bin")
    far.proxy.cut_after(100_000, times=1000)
    with pytest.raises(RetriableError, match=rf"//{BUCKET}/large\.bin"), storage.open(item) as chunks:
        list(chunks)
    assert far.proxy.cuts == ATTEMPTS


def test_an_object_overwritten_between_cut_and_resume(far: Far) -> None:
    far.put(BUCKET, "growing.bin", CONTENT)
    storage = far.storage()
    with storage.open(storage.stat("growing.bin")) as chunks:
        next(chunks)
        far.put(BUCKET, "growing.bin", CONTENT + b"more")
        far.proxy.cut()
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
    assert [item.key for item in storage.list("large")] == ["large.bin"]


def test_a_dead_endpoint_is_retriable(far: Far) -> None:
    far.proxy.close()
    with pytest.raises(RetriableError, match=rf"//{BUCKET}/.*no answer"):
        list(far.storage().list(""))


def test_a_key_is_not_taken_for_a_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    extra = {"endpoint_url": f"http://127.0.0.1:{port}"}
    storage = connect(Connection("logs", "aws", login="key", password="secret", extra=extra), BUCKET)
    with pytest.raises(RetriableError, match=r"token request/certificate\.json: no answer"):
        storage.stat("token request/certificate.json")


def test_a_silent_store_times_out(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_buckets, "READ_SECONDS", 0.1)
    monkeypatch.setattr(cos_client, "READ_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        far.proxy.port = silent.getsockname()[1]
        with pytest.raises(RetriableError, match="no answer"):
            far.storage().stat("large.bin")


def test_latency_and_a_slow_link_only_take_longer(far: Far) -> None:
    far.proxy.latency, far.proxy.bytes_per_second = 0.02, 40e6
    assert read(far.storage()) == CONTENT


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (429, "TooManyRequests"), (500, "InternalError"), (502, "-")]
)
def test_a_passing_fault_is_retried_inside(
    gateway: S3Gateway, connection: Connection, status: int, code: str
) -> None:
    storage = connect(connection, BUCKET)
    item = storage.stat("small.bin")
    gateway.fail_next(ATTEMPTS - 1, status, code)
    assert list(storage.list("small")) == [item]
    gateway.fail_next(ATTEMPTS - 1, status, code)
    with storage.open(item) as chunks:
        assert list(chunks) == [b"small"]
    gateway.fail_next(ATTEMPTS - 1, status, code)
    assert storage.stat("small.bin") == item
    gateway.requests.clear()
    gateway.fail_next(ATTEMPTS, status, code)
    with pytest.raises(RetriableError, match=f"{status}"):
        list(storage.list("small"))
    assert [request.status for request in gateway.requests] == [status] * ATTEMPTS


@pytest.mark.parametrize(
    ("status", "code", "error", "hint"),
    [
        (418, "Teapot", StopError, "418 Teapot"),
        (400, "AuthorizationHeaderMalformed", ConfigurationError, "another region"),
        (301, "PermanentRedirect", ConfigurationError, "another region"),
        (403, "ExpiredToken", AccessDenied, "session token has expired"),
        (404, "NoSuchBucket", ObjectNotFound, "bucket does not exist"),
    ],
)
def test_what_an_answer_means(
    gateway: S3Gateway, connection: Connection, status: int, code: str, error: type[Exception], hint: str
) -> None:
    gateway.fail_next(1, status, code)
    with pytest.raises(error, match=hint):
        list(connect(connection, BUCKET).list(""))
    # IBM's SDK asks where a bucket is that has moved.
    assert [request.method for request in gateway.requests].count("GET") == 1


def test_a_request_that_took_too_long_is_retriable(gateway: S3Gateway, connection: Connection) -> None:
    """The one 400 that passes; obstore leaves it to the task's retry."""
    gateway.fail_next(ATTEMPTS, 400, "RequestTimeout")
    with pytest.raises(RetriableError, match="400 RequestTimeout"):
        list(connect(connection, BUCKET).list(""))
    assert len(gateway.requests) == {"ibm_cos": ATTEMPTS, "aws": 1}[connection.conn_type]


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"login": "nobody"}, "access key id"),
        ({"password": SECRET}, r"secret.* is wrong: check the connection's password"),
        ({"login": "other-key", "password": "other-secret"}, "may list and read this bucket"),
    ],
)
def test_refused_credentials_say_what_to_check(
    gateway: S3Gateway, connection: Connection, changes: dict[str, str], hint: str
) -> None:
    with pytest.raises(AccessDenied, match=hint) as caught:
        list(connect(replace(connection, **changes), BUCKET).list(""))
    assert len(gateway.requests) == 1
    assert "object_store" in str(caught.value)
    for secret in (SECRET, "other-secret", "paylog-demo-secret"):
        assert secret not in f"{caught.value} {caught.value.__cause__}"


def test_refused_credentials_stop_at_once_and_are_shown_nowhere(
    far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    storage, item = far.storage(password=SECRET), far.storage().stat("large.bin")
    with caplog.at_level("DEBUG"):
        with pytest.raises(AccessDenied, match=far.near.conn_id) as caught:
            list(storage.list(""))
        with pytest.raises(AccessDenied), storage.open(item):
            pytest.fail("opened")
    assert SECRET not in f"{caught.value} {caught.value.__cause__} {caplog.text} {storage!r}"


def test_a_refused_signature_is_not_shown(azurite: Azurite) -> None:
    token = "sv=2021-12-02&ss=b&srt=sco&sp=rl&se=2099-01-01&sig=c2VjcmV0LXNpZw%3D%3D"
    connection = replace(azurite.connection(), password="", extra={"sas_token": token})
    with pytest.raises(AccessDenied) as caught:
        list(connect(connection, BUCKET).list(""))
    assert caught.value.__cause__ is None
    assert "c2VjcmV0" not in str(caught.value)


def test_a_missing_bucket(far: Far) -> None:
    with pytest.raises(ObjectNotFound, match=r"//absent-bucket/.*bucket does not exist"):
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


def test_empty_and_full_objects_written_in_turn(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cos_client, "READ_SECONDS", 3)
    client = cos_client.cos_client(store.connection())
    for n in range(4):
        client.put_object(Bucket=BUCKET, Key=f"turn-{n}", Body=b"x" * (n % 2))
    assert [item.size for item in connect(store.connection(), BUCKET).list("turn-")] == [0, 1, 0, 1]


def test_the_object_store_keeps_its_objects(tmp_path: Path) -> None:
    server = ObjectStore(tmp_path)
    with server:
        server.create_bucket(BUCKET)
        server.put(BUCKET, "log.jsonl", b"{}")
    with server:
        server.create_bucket(BUCKET)
        assert read(connect(server.connection(), BUCKET), "log.jsonl") == b"{}"
        with pytest.raises(StopError, match=f"port {server.port} .* taken"):
            ObjectStore(tmp_path, port=server.port).start()
    assert not [socket for socket in server._sockets if socket.exists()]
