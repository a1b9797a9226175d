"""IAM: API keys, tokens that expire, and an IAM service that fails. moto behind a bearer gate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import stamina

from paylog.connections import Connection
from paylog.errors import AccessDenied, RetriableError
from paylog.storage import Storage, connect
from paylog.storage.cos_client import cos_client
from paylog.testing.iam import TokenEndpoint
from paylog.testing.s3_gateway import S3Gateway

API_KEY = "api-key-5b1d"
BUCKET = "scoring-logs"


@pytest.fixture
def iam() -> Iterator[TokenEndpoint]:
    stamina.set_testing(True, attempts=3)
    with TokenEndpoint({API_KEY}) as endpoint:
        yield endpoint
    stamina.set_testing(False)


@pytest.fixture
def gateway(moto: tuple[str, int], iam: TokenEndpoint) -> Iterator[S3Gateway]:
    with S3Gateway(moto, iam.accepts) as gateway:
        client = cos_client(connection(gateway, iam))
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key="log.jsonl", Body=b"x" * 3_000_000)
        client.close()
        gateway.requests.clear()
        iam.issued = 0
        yield gateway


def connection(gateway: S3Gateway, iam: TokenEndpoint, **extra: Any) -> Connection:
    return Connection(
        "cos_iam",
        "ibm_cos",
        extra={
            "endpoint_url": gateway.endpoint,
            "api_key": API_KEY,
            "service_instance_id": "crn:v1:bluemix:public:cloud-object-storage:global:a/test::",
            "auth_endpoint": iam.url,
            **extra,
        },
    )


def size_of(storage: Storage) -> int:
    (item,) = storage.list("")
    with storage.open(item) as chunks:
        return sum(map(len, chunks))


def test_one_token_serves_many_requests(gateway, iam) -> None:
    storage = connect(connection(gateway, iam), BUCKET)
    assert [size_of(storage) for _ in range(5)] == [3_000_000] * 5
    assert iam.issued == 1
    assert {r.status for r in gateway.requests} == {200}


def test_an_expired_token_is_replaced(gateway, iam) -> None:
    iam.lifetime = 1
    storage = connect(connection(gateway, iam), BUCKET)
    assert size_of(storage) == 3_000_000
    time.sleep(1.1)
    assert size_of(storage) == 3_000_000
    assert iam.issued == 2
    assert {r.status for r in gateway.requests} == {200}


def test_a_token_expires_while_a_body_is_read(gateway, iam) -> None:
    iam.lifetime = 1
    storage = connect(connection(gateway, iam), BUCKET)
    (item,) = storage.list("")
    with storage.open(item) as chunks:
        read = len(next(chunks))
        time.sleep(1.1)
        read += sum(map(len, chunks))
    assert read == 3_000_000


def test_a_revoked_token_is_refused(gateway, iam) -> None:
    storage = connect(connection(gateway, iam), BUCKET)
    size_of(storage)
    iam.revoke()
    with pytest.raises(AccessDenied, match="cos_iam"):
        size_of(storage)


def test_a_bad_api_key_stops_and_says_so(gateway, iam, caplog) -> None:
    storage = connect(connection(gateway, iam, api_key="mistyped-71c3"), BUCKET)
    with caplog.at_level("DEBUG", "paylog"), pytest.raises(AccessDenied, match="IAM refused") as caught:
        list(storage.list(""))
    assert "api_key" in str(caught.value)
    assert "mistyped-71c3" not in f"{caught.value} {caught.value.__cause__} {caplog.text} {storage!r}"
    assert not gateway.requests


def test_iam_that_fails_once_is_asked_again(gateway, iam) -> None:
    iam.fail_next(1)
    assert size_of(connect(connection(gateway, iam), BUCKET)) == 3_000_000


def test_iam_that_keeps_failing_is_retriable(gateway, iam) -> None:
    iam.fail_next(1000)
    with pytest.raises(RetriableError, match="IAM gave no token for connection 'cos_iam'"):
        list(connect(connection(gateway, iam), BUCKET).list(""))


def test_iam_that_cannot_be_reached_is_retriable(gateway, iam) -> None:
    nowhere = TokenEndpoint(())
    nowhere.close()
    with pytest.raises(RetriableError):
        list(connect(connection(gateway, iam, auth_endpoint=nowhere.url), BUCKET).list(""))
