"""Storage over networks that fail and stores that refuse: SeaweedFS behind proxies."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina

from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    ObjectChanged,
    ObjectNotFound,
    RetriableError,
    StopError,
)
from paylog.storage import Storage, connect, cos_client
from paylog.testing.object_store import ObjectStore
from paylog.testing.s3_gateway import S3Gateway
from paylog.testing.tcp_proxy import TcpProxy

BUCKET = "scoring-logs"
MEGABYTE = 1 << 20
CONTENT = os.urandom(12 * MEGABYTE + 321)
ATTEMPTS = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    server = ObjectStore(tmp_path_factory.mktemp("seaweedfs"))
    server.add_identity("other-team", "other-key", "other-secret", ["Read:other-bucket", "List:other-bucket"])
    with server:
        server.create_bucket(BUCKET)
        server.put(BUCKET, "large.bin", CONTENT)
        server.put(BUCKET, "small.bin", b"small")
        yield server


@pytest.fixture(autouse=True)
def _no_waits() -> Iterator[None]:
    stamina.set_testing(True, attempts=ATTEMPTS)
    yield
    stamina.set_testing(False)


@pytest.fixture
def gateway(store: ObjectStore) -> Iterator[S3Gateway]:
    with S3Gateway(("127.0.0.1", store.port)) as gateway:
        yield gateway


@pytest.fixture
def proxy(gateway: S3Gateway) -> Iterator[TcpProxy]:
    with TcpProxy(gateway.address) as proxy:
        yield proxy


def through(endpoint: str, store: ObjectStore, bucket: str = BUCKET, **changes: Any) -> Storage:
    connection = dataclasses.replace(store.connection(endpoint_url=endpoint), **changes)
    return connect(connection, bucket)


def read(storage: Storage, key: str = "large.bin") -> bytes:
    with storage.open(storage.stat(key)) as chunks:
        return b"".join(chunks)


def test_a_body_cut_at_any_point_is_read_whole(store, gateway, proxy) -> None:
    storage = through(f"http://127.0.0.1:{proxy.port}", store)
    proxy.cut_after(3 * MEGABYTE, times=3)
    assert hashlib.sha256(read(storage)).digest() == hashlib.sha256(CONTENT).digest()
    assert proxy.cuts == 3
    assert len([r for r in gateway.requests if r.method == "GET"]) == 4


def test_a_cut_body_is_resumed_where_it_stopped(store, gateway, proxy) -> None:
    storage = through(f"http://127.0.0.1:{proxy.port}", store)
    with storage.open(storage.stat("large.bin")) as chunks:
        first = next(chunks)
        proxy.cut()
        assert first + b"".join(chunks) == CONTENT
    (start,) = [int(r.range.removeprefix("bytes=").rstrip("-")) for r in gateway.requests if r.range]
    assert start >= MEGABYTE


def test_a_link_that_always_breaks_is_given_up(store, proxy) -> None:
    storage = through(f"http://127.0.0.1:{proxy.port}", store)
    item = storage.stat("large.bin")
    proxy.cut_after(100_000, times=1000)
    with pytest.raises(RetriableError, match=f"cos://{BUCKET}/large.bin"), storage.open(item) as chunks:
        next(chunks)
    assert proxy.cuts == ATTEMPTS


def test_an_object_overwritten_between_cut_and_resume(store, proxy) -> None:
    store.put(BUCKET, "growing.bin", CONTENT)
    storage = through(f"http://127.0.0.1:{proxy.port}", store)
    with storage.open(storage.stat("growing.bin")) as chunks:
        next(chunks)
        store.put(BUCKET, "growing.bin", CONTENT + b"more")
        proxy.cut()
        with pytest.raises(ObjectChanged, match=r"growing\.bin was overwritten"):
            list(chunks)


def test_a_refused_connection_is_retriable(store, proxy) -> None:
    storage = through(f"http://127.0.0.1:{proxy.port}", store)
    proxy.refuse()
    with pytest.raises(RetriableError):
        list(storage.list(""))
    assert proxy.connections == ATTEMPTS
    proxy.refuse(False)
    assert len(list(storage.list("small"))) == 1


def test_a_dead_endpoint_is_retriable(store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(RetriableError, match=f"cos://{BUCKET}/"):
        list(through(f"http://127.0.0.1:{port}", store).list(""))


def test_a_silent_store_times_out(store, monkeypatch) -> None:
    monkeypatch.setattr(cos_client, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        storage = through(f"http://127.0.0.1:{silent.getsockname()[1]}", store)
        with pytest.raises(RetriableError, match="ReadTimeoutError"):
            storage.stat("small.bin")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (503, "SlowDown"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (502, "-"),
        (400, "RequestTimeout"),
    ],
)
def test_a_passing_fault_is_retried_inside(store, gateway, status, code) -> None:
    storage = through(gateway.endpoint, store)
    item = storage.stat("small.bin")
    gateway.fail_next(ATTEMPTS - 1, status, code)
    assert list(storage.list("small")) == [item]
    gateway.fail_next(ATTEMPTS - 1, status, code)
    with storage.open(item) as chunks:
        assert list(chunks) == [b"small"]
    if status != 400:  # HEAD has no body to name the fault
        gateway.fail_next(ATTEMPTS - 1, status, code)
        assert storage.stat("small.bin") == item


def test_a_lasting_fault_is_retriable_later(store, gateway) -> None:
    storage = through(gateway.endpoint, store)
    gateway.fail_next(ATTEMPTS)
    with pytest.raises(RetriableError, match="503 SlowDown"):
        list(storage.list(""))
    assert [r.status for r in gateway.requests] == [503] * ATTEMPTS


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"login": "nobody"}, "access key id"),
        ({"password": "wrong-secret-9f2c"}, "secret access key is wrong"),
        ({"login": "other-key", "password": "other-secret"}, "may list and read this bucket"),
    ],
)
def test_refused_credentials_stop_at_once_and_say_what_to_check(
    store, gateway, changes, hint, caplog
) -> None:
    storage = through(gateway.endpoint, store, **changes)
    with caplog.at_level("INFO"), pytest.raises(AccessDenied, match=hint) as caught:
        list(storage.list(""))
    assert len(gateway.requests) == 1
    assert "object_store" in str(caught.value)
    for secret in ("wrong-secret-9f2c", "other-secret", "paylog-demo-secret"):
        assert secret not in f"{caught.value} {caught.value.__cause__} {caplog.text} {storage!r}"


def test_refused_credentials_when_reading(store, gateway) -> None:
    item = through(gateway.endpoint, store).stat("small.bin")
    with pytest.raises(AccessDenied), through(gateway.endpoint, store, password="no").open(item):
        pytest.fail("opened")


def test_a_missing_bucket(store, gateway) -> None:
    with pytest.raises(ObjectNotFound, match=r"cos://absent-bucket/.*bucket does not exist"):
        list(through(gateway.endpoint, store, "absent-bucket").list(""))
    assert len(gateway.requests) == 1


def test_an_answer_nobody_expects_stops(store, gateway) -> None:
    gateway.fail_next(1, 418, "Teapot")
    with pytest.raises(StopError, match="418 Teapot"):
        list(through(gateway.endpoint, store).list(""))


def test_a_bucket_in_another_region_is_a_configuration_error(store, gateway) -> None:
    gateway.fail_next(1, 400, "AuthorizationHeaderMalformed")
    with pytest.raises(ConfigurationError, match="region"):
        list(through(gateway.endpoint, store).list(""))


def test_empty_and_full_objects_written_in_turn(store, monkeypatch) -> None:
    monkeypatch.setattr(cos_client, "READ_SECONDS", 3)
    client = cos_client.cos_client(store.connection())
    for n in range(4):
        client.put_object(Bucket=BUCKET, Key=f"turn-{n}", Body=b"x" * (n % 2))
    assert [item.size for item in connect(store.connection(), BUCKET).list("turn-")] == [0, 1, 0, 1]


def test_latency_and_a_slow_link_only_take_longer(store) -> None:
    with TcpProxy(("127.0.0.1", store.port), latency=0.02, bytes_per_second=40e6) as slow:
        assert read(through(f"http://127.0.0.1:{slow.port}", store)) == CONTENT


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
