"""Training data in a real object store over HTTP: formats, parts, IAM tokens and faults."""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina

from paylog.connections import Connection, use_resolver
from paylog.storage.cos_client import cos_client
from paylog.subscription import Subscription
from paylog.testing.iam import TokenEndpoint
from paylog.testing.object_store import ObjectStore
from paylog.testing.s3_gateway import S3Gateway
from paylog.testing.tcp_proxy import TcpProxy
from paylog.testing.training_people import as_csv, document, people
from paylog.training_data import Profile, check, open_source

BUCKET = "training-data"
API_KEY = "api-key-91c2"
SAMPLE = Path(__file__).parents[3] / "shared/samples/ibm/credit_risk_training.csv"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    server = ObjectStore(tmp_path_factory.mktemp("seaweedfs"))
    server.add_identity("writer", "logs-only", "logs-only-secret", ["Read:scoring-logs", "List:scoring-logs"])
    with server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(autouse=True)
def connections(store: ObjectStore) -> Iterator[dict[str, Connection]]:
    known = {"cos": store.connection("cos")}
    use_resolver(known.__getitem__)
    stamina.set_testing(True, attempts=2)
    yield known
    stamina.set_testing(False)
    use_resolver(None)


def subscription(**reference: Any) -> Subscription:
    where = {"type": "cos", "connection": "cos", "bucket": BUCKET}
    return Subscription.model_validate(document(**where | reference))


def figures(found: Profile | None) -> dict[str, Any]:
    assert found is not None
    return {key: value for key, value in found.to_dict().items() if key not in ("source", "found")}


def codes(**reference: Any) -> list[str]:
    return [str(finding.code) for finding in check(subscription(**reference)).findings]


def test_every_format_over_http_gives_the_same_profile(store: ObjectStore) -> None:
    frame, file = people(3_000), io.BytesIO()
    frame.to_parquet(file, row_group_size=1000)
    contents = {
        "people.csv": as_csv(frame),
        "people.csv.gz": gzip.compress(as_csv(frame)),
        "marked.csv": b"\xef\xbb\xbf" + as_csv(frame),
        "people.parquet": file.getvalue(),
        "parts/part-0.csv": as_csv(frame.iloc[:1000]),
        "parts/part-1.csv.gz": gzip.compress(as_csv(frame.iloc[1000:])),
        "parts/_SUCCESS": b"",
    }
    for key, content in contents.items():
        store.put(BUCKET, key, content)
    references = [{"object": key} for key in contents if "/" not in key] + [{"prefix": "parts/"}]
    results = [check(subscription(**reference)) for reference in references]
    assert [result.findings for result in results] == [()] * 5
    assert all(figures(result.profile) == figures(results[0].profile) for result in results)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample files are not there")
def test_the_sample_with_a_byte_order_mark(store: ObjectStore) -> None:
    from paylog.subscription import load_subscriptions

    store.put(BUCKET, "german.csv", SAMPLE.read_bytes())
    path = Path(__file__).parents[2] / "subscriptions/credit_risk.yaml"
    credit = load_subscriptions(path)[0].document()
    where = subscription(object="german.csv").document()["training_data"]
    result = check(Subscription.model_validate(credit | {"training_data": where}))
    assert result.findings == ()
    assert result.profile is not None
    assert result.profile.source.location == f"cos://{BUCKET}/german.csv"


def test_what_is_not_there_is_said_with_near_names(store: ObjectStore) -> None:
    store.put(BUCKET, "near/people.csv", b"Age\n1\n")
    (finding,) = check(subscription(object="near/peple.csv")).findings
    assert (finding.code, "did you mean 'near/people.csv'" in finding.found) == ("NOT_FOUND", True)
    assert codes(object="a.csv", bucket="no-such-bucket") == ["NOT_FOUND"]


def test_who_may_not_read_is_told(store: ObjectStore, connections: dict[str, Connection]) -> None:
    store.put(BUCKET, "people.csv", b"Age\n1\n")
    extra = {"endpoint_url": store.endpoint}
    connections["cos"] = Connection(
        "cos", "ibm_cos", login="logs-only", password="logs-only-secret", extra=extra
    )
    assert codes(object="people.csv") == ["ACCESS_DENIED"]
    connections["cos"] = Connection("cos", "ibm_cos", login="nobody", password="wrong", extra=extra)
    (finding,) = check(subscription(object="people.csv")).findings
    assert finding.code == "ACCESS_DENIED"
    assert "wrong" not in finding.found


def test_a_store_that_does_not_answer_is_tried_again_later(
    store: ObjectStore, connections: dict[str, Connection]
) -> None:
    store.put(BUCKET, "people.csv", as_csv(people(100)))
    with TcpProxy(("127.0.0.1", store.port)) as proxy:
        connections["cos"] = store.connection("cos", endpoint_url=f"http://127.0.0.1:{proxy.port}")
        proxy.refuse()
        result = check(subscription(object="people.csv"))
        assert ([f.code for f in result.findings], result.retriable) == (["UNREACHABLE"], True)
        proxy.refuse(False)
        assert check(subscription(object="people.csv")).findings == ()


def test_a_connection_that_breaks_is_taken_up_again(
    store: ObjectStore, connections: dict[str, Connection]
) -> None:
    content = as_csv(people(40_000))
    store.put(BUCKET, "long.csv", content)
    with TcpProxy(("127.0.0.1", store.port)) as proxy:
        connections["cos"] = store.connection("cos", endpoint_url=f"http://127.0.0.1:{proxy.port}")
        proxy.cut_after(len(content) // 2)
        result = check(subscription(object="long.csv"))
        assert proxy.cuts == 1
    assert result.profile is not None
    assert result.profile.rows == 40_000


def test_an_api_key_with_tokens_that_expire(
    moto: tuple[str, int], connections: dict[str, Connection]
) -> None:
    with TokenEndpoint({API_KEY}, lifetime=1) as iam, S3Gateway(moto, iam.accepts) as gateway:
        extra = {
            "endpoint_url": gateway.endpoint,
            "api_key": API_KEY,
            "service_instance_id": "crn:v1:bluemix:public:cloud-object-storage:global:a/test::",
            "auth_endpoint": iam.url,
        }
        connections["cos"] = Connection("cos", "ibm_cos", extra=extra)
        client = cos_client(connections["cos"])
        client.create_bucket(Bucket=BUCKET)
        for part in range(3):
            client.put_object(Bucket=BUCKET, Key=f"parts/{part}.csv", Body=as_csv(people(300, seed=part)))
        client.close()
        iam.issued = 0
        rows = 0
        for batch in open_source(subscription(prefix="parts/")).chunks():
            rows += batch.num_rows
            time.sleep(1.1)  # each part needs a token of its own
        iam.lifetime = 3600
        time.sleep(1.1)  # the SDK's refreshing thread comes to rest
        assert (rows, iam.issued >= 3) == (900, True)
        assert {request.status for request in gateway.requests} == {200}
        connections["cos"] = Connection("cos", "ibm_cos", extra=extra | {"api_key": "mistyped-71c3"})
        (finding,) = check(subscription(prefix="parts/")).findings
    assert finding.code == "ACCESS_DENIED"
    assert "mistyped-71c3" not in str(finding)
