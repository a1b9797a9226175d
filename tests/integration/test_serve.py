"""``paylog serve`` over a real PostgreSQL, without a network."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openscale_server import payload_data_set, record
from starlette.testclient import TestClient

from paylog.client.data_mart import DataMartClient
from paylog.connections import Connection
from paylog.serve import application, bodies
from paylog.serve.tokens import Tokens

KEY = "an-api-key-for-tests-only"
INSTANCE = "11111111-2222-3333-4444-555555555555"
WIRE = Path(__file__).parents[2] / "../shared/reference/openscale-wire"
MART = f"/v1/data_marts/{INSTANCE}"


@pytest.fixture
def client(empty_database: Connection) -> DataMartClient:
    made = DataMartClient(INSTANCE)
    made.use(empty_database, "ext_payloads")
    return made


@pytest.fixture
def http(client: DataMartClient) -> Iterator[TestClient]:
    with TestClient(application(client, KEY), headers={"Authorization": f"Bearer {KEY}"}) as test_client:
        yield test_client


@pytest.fixture
def data_set(http: TestClient) -> str:
    return payload_data_set(http)


def count(http: TestClient, data_set: str) -> int:
    query = {"limit": "0", "include_total_count": "true"}
    return int(http.get(f"/v2/data_sets/{data_set}/records", params=query).json()["total_count"])


@pytest.mark.skipif(not WIRE.is_dir(), reason="the recorded requests are not beside this checkout")
@pytest.mark.parametrize("recording", ["v1cloud", "v2bearer"])
def test_every_recorded_request_gets_the_recorded_status(recording: str, http: TestClient) -> None:
    """Ids that the server chose are put in place of the recorded ones; unknown ones are left out."""
    ids: dict[str, str] = {}
    replayed = 0
    for request in json.loads((WIRE / f"{recording}.json").read_text()):
        if _names_an_id_of_an_unrecorded_call(request):
            continue
        text = json.dumps(request)
        for recorded, ours in ids.items():
            text = text.replace(recorded, ours)
        request = json.loads(text)
        body, wanted = request["body"], request["response"]
        content = body if isinstance(body, str) else json.dumps(body)
        kind = {k.lower(): v for k, v in request["headers"].items()}.get("content-type", "application/json")
        answer = http.request(
            request["method"],
            request["path"],
            params=request["query"],
            content=content.replace("apikey=key", f"apikey={KEY}"),
            headers={"Content-Type": kind},
        )
        assert answer.status_code == wanted["status"], (request["seq"], answer.text)
        replayed += 1
        if answer.content:
            _learn(wanted["body"], answer.json(), ids)
    assert replayed >= 19


def _names_an_id_of_an_unrecorded_call(request: dict[str, Any]) -> bool:
    return request["seq"] in (27, 48, 51) and request["path"].startswith("/openscale/")


def _learn(recorded: Any, ours: Any, ids: dict[str, str]) -> None:
    if isinstance(recorded, dict) and isinstance(ours, dict):
        if "guid" in recorded and recorded["guid"] != ours.get("guid"):
            ids[recorded["guid"]] = ours["guid"]
        for name in recorded.keys() & ours.keys():
            _learn(recorded[name], ours[name], ids)
    elif isinstance(recorded, list) and isinstance(ours, list):
        for one, other in zip(recorded, ours, strict=False):
            _learn(one, other, ids)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", MART),
        ("GET", f"{MART}/scoring_transactions"),
        ("POST", f"{MART}/scoring_payloads"),
        ("GET", "/v2/data_sets"),
        ("GET", f"/openscale/{INSTANCE}/v2/data_sets"),
        ("GET", "/no/such/path"),
    ],
)
@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic a2V5", f"Basic {KEY}", "Bearer "])
def test_nothing_without_a_token(client: DataMartClient, method: str, path: str, authorization: str) -> None:
    with TestClient(application(client, KEY)) as http:
        headers = {"Authorization": authorization} if authorization else {}
        answer = http.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert "errors" in answer.json()


def test_a_token_is_given_for_the_key_only(client: DataMartClient) -> None:
    with TestClient(application(client, KEY)) as http:
        assert http.post("/v1/preauth/validateAuth", data={"apikey": "wrong"}).status_code == 401
        token = http.post("/v1/preauth/validateAuth", data={"apikey": KEY}).json()["access_token"]
        basic = http.get("/v1/preauth/validateAuth", auth=("user", KEY)).json()["accessToken"]
        for one in (token, basic):
            found = http.get("/v2/data_marts", headers={"Authorization": f"Bearer {one}"})
            assert found.json() == {"data_marts": []}


def test_a_token_of_another_key_or_past_its_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(KEY)
    assert not tokens.accepts(f"Bearer {Tokens('another-key-of-length')!s}")
    assert not tokens.accepts(f"Bearer {Tokens('another-key-of-length').issue()[0]}")
    monkeypatch.setattr("paylog.serve.tokens.LIFETIME", -1)
    assert not tokens.accepts(f"Bearer {tokens.issue()[0]}")


def test_health_needs_no_token_and_tells_nothing(client: DataMartClient) -> None:
    with TestClient(application(client, KEY)) as http:
        assert set(http.get("/health").json()) == {"status", "version"}


def test_the_same_post_twice_is_stored_once(http: TestClient, data_set: str) -> None:
    body = [record(i) for i in range(5)]
    first = http.post(f"/v2/data_sets/{data_set}/records", json=body)
    again = http.post(f"/v2/data_sets/{data_set}/records", json=body)
    assert first.status_code == again.status_code == 202
    assert first.headers["location"] == again.headers["location"]
    assert count(http, data_set) == 10
    overlapping = http.post(f"/v2/data_sets/{data_set}/records", json=[*body, record(7)])
    assert overlapping.json()["state"] == "active"
    assert count(http, data_set) == 12


def test_a_gzip_body_and_nan(http: TestClient, data_set: str) -> None:
    body = json.dumps([record(0, float("nan"))]).encode()
    assert b"NaN" in body
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = http.post(f"/v2/data_sets/{data_set}/records", content=gzip.compress(body), headers=headers)
    assert answer.status_code == 202
    stored = http.get(f"/v2/data_sets/{data_set}/records").json()["records"]
    ages = {one["entity"]["values"]["scoring_id"]: one["entity"]["values"]["Age"] for one in stored}
    assert ages == {"call-0-1": None, "call-0-2": 31}


def test_rejected_rows_are_told_by_record_without_their_values(
    http: TestClient, data_set: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    http.post(f"/v2/data_sets/{data_set}/records", json=[record(i) for i in range(5)])
    body = [record(8), record(9, "canary")]
    location = http.post(f"/v2/data_sets/{data_set}/records", json=body).headers["location"]
    status = http.get(location)
    assert status.json()["state"] == "active"
    assert status.json()["records_count"] == 3
    (failure,) = status.json()["failure"]["errors"]
    assert (failure["code"], failure["record"]) == ("TYPE_MISMATCH", 1)
    assert "'Age'" in failure["message"]
    assert "canary" not in status.text + caplog.text


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"[{", {}, 400),
        (b"{}", {}, 400),
        (b"[]", {}, 400),
        (b"canary", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"[" + b" " * 100, mtime=0)[:-8], {"Content-Encoding": "gzip"}, 400),
        (b"a,b\n1\n", {"Content-Type": "text/csv"}, 400),
        (b"a\n\xff\n", {"Content-Type": "text/csv"}, 400),
    ],
)
def test_a_body_that_cannot_be_read(
    http: TestClient, data_set: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = http.post(f"/v2/data_sets/{data_set}/records", content=content, headers=headers)
    assert answer.status_code == status
    assert "canary" not in answer.text
    assert count(http, data_set) == 0


def test_a_body_over_the_limit(http: TestClient, data_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_BODY", 1000)
    path = f"/v2/data_sets/{data_set}/records"
    assert http.post(path, content=b" " * 1001).status_code == 413
    bomb = gzip.compress(b" " * 100_000)
    assert len(bomb) < 1000
    assert http.post(path, content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413


def test_a_defect_is_answered_and_logged_without_values(
    http: TestClient, data_set: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr("paylog.serve.v2.store_payload", broken)
    answer = http.post(f"/v2/data_sets/{data_set}/records", json=[record(0)])
    assert answer.status_code == 500
    assert "canary" not in answer.text + caplog.text


def test_what_a_post_stored_is_told_at_once(http: TestClient, data_set: str) -> None:
    path, body = f"/v2/data_sets/{data_set}/records", [record(i) for i in range(5)]
    assert http.post(path, json=body).json() == {"state": "active", "records_count": 10}
    assert http.post(path, json=body).json() == {"state": "active"}
    partly = http.post(path, json=[*body, record(5), record(6, "x")]).json()
    assert partly == {"state": "active", "records_count": 13}


def test_a_deleted_subscription_has_no_data_set(http: TestClient, data_set: str) -> None:
    path = f"/v2/data_sets/{data_set}"
    assert http.post(f"{path}/records", json=[record(i) for i in range(5)]).status_code == 202
    uid = http.get(path).json()["entity"]["target"]["target_id"]
    assert http.delete(f"/v2/subscriptions/{uid}").status_code == 202
    for tail in ("", "/records", "/requests/x"):
        assert http.get(path + tail).status_code == 404
    assert http.post(f"{path}/records", json=[record(9)]).status_code == 404


def test_a_sign_in_that_cannot_be_read_is_answered(client: DataMartClient) -> None:
    """Who has no token may not make the server hold much."""
    path, large = "/v1/preauth/validateAuth", b" " * 20_000
    with TestClient(application(client, KEY), raise_server_exceptions=False) as http:
        assert http.post(path, content=large).status_code == 413
        small = gzip.compress(large)
        assert http.post(path, content=small, headers={"Content-Encoding": "gzip"}).status_code == 413
        broken = http.post(path, content=b"canary", headers={"Content-Encoding": "gzip"})
    assert broken.status_code == 400
    assert broken.json()["errors"][0]["code"] == "AISCS0400E"


def test_a_gzip_body_does_not_hold_up_other_calls(
    http: TestClient, data_set: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []
    real = zlib.decompressobj

    def noted(*arguments: Any, **named: Any) -> Any:
        threads.append(asyncio._get_running_loop() is None)
        return real(*arguments, **named)

    monkeypatch.setattr("paylog.serve.bodies.zlib.decompressobj", noted)
    body = gzip.compress(json.dumps([record(0)]).encode())
    http.post(f"/v2/data_sets/{data_set}/records", content=body, headers={"Content-Encoding": "gzip"})
    assert threads == [True]


def test_a_caller_that_goes_away_is_no_defect(
    client: DataMartClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    parts = iter([{"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        pass

    scope = {
        "type": "http", "method": "POST", "path": "/v2/subscriptions", "query_string": b"",
        "headers": [(b"authorization", f"Bearer {KEY}".encode())],
    }  # fmt: skip
    asyncio.run(application(client, KEY)(scope, receive, send))
    assert "went away" in caplog.text
    assert "defect" not in caplog.text


def test_a_data_set_or_provider_is_told_without_reading_all(
    http: TestClient, data_set: str, registry_queries: list[str]
) -> None:
    http.post(f"/v2/data_sets/{data_set}/records", json=[record(i) for i in range(3)])
    target = http.get(f"/v2/data_sets/{data_set}").json()["entity"]["target"]["target_id"]
    http.get("/v2/data_sets", params={"target.target_id": target})
    assert "documents" not in registry_queries
    registry_queries.clear()
    assert len(http.get("/v2/data_sets").json()["data_sets"]) == 2
    assert registry_queries == ["documents", "subscription_ids"]
    registry_queries.clear()
    (provider,) = http.get("/v2/service_providers").json()["service_providers"]
    assert http.get(f"/v2/service_providers/{provider['metadata']['id']}").json() == provider
    assert registry_queries == ["bindings", "bindings"]
    assert http.get("/v2/service_providers/unknown").status_code == 404


def test_feedback_is_paged_and_counted_by_the_database(http: TestClient, data_set: str) -> None:
    http.post(f"/v2/data_sets/{data_set}/records", json=[record(i) for i in range(3)])
    uid = http.get(f"/v2/data_sets/{data_set}").json()["entity"]["target"]["target_id"]
    found = http.get("/v2/data_sets", params={"target.target_id": uid, "type": "feedback"}).json()
    path = f"/v2/data_sets/{found['data_sets'][0]['metadata']['id']}/records"
    rows = [[20 + i, "M", "Risk", f"2024-01-0{i + 1}T00:00:00Z"] for i in range(5)]
    fields = ["Age", "Sex", "Risk", "record_timestamp"]
    assert http.post(path, json=[{"fields": fields, "values": rows}]).status_code == 202
    page = http.get(path, params={"offset": "1", "limit": "2", "include_total_count": "true"}).json()
    assert [one["entity"]["values"]["Age"] for one in page["records"]] == [21, 22]
    assert page["total_count"] == 5
    assert http.get(path, params={"offset": "4"}).json()["records"][0]["entity"]["values"]["Age"] == 24


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("scoring_id:eq:a;b,c-1", ["a;b,c-1"]),
        ("scoring_id:eq:a;b,c-1;Age:lt:31;", ["a;b,c-1"]),
        ("Age:gt:30;scoring_id:eq:a;b,c-1", []),
        ("asset_revision:null;scoring_id:like:a%;Age:eq:31", ["a;b,c-2"]),
    ],
)
def test_a_value_in_a_filter_may_hold_a_semicolon(
    http: TestClient, data_set: str, written: str, found: list[str]
) -> None:
    path = f"/v2/data_sets/{data_set}/records"
    http.post(path, json=[{**record(1), "scoring_id": "a;b,c"}, record(2)])
    stored = http.get(path, params={"filter": written}).json()["records"]
    assert [one["entity"]["values"]["scoring_id"] for one in stored] == found


def test_filters_choose_and_wrong_ones_are_refused(http: TestClient, data_set: str) -> None:
    http.post(f"/v2/data_sets/{data_set}/records", json=[record(i, 20 + i) for i in range(20)])
    path = f"/v2/data_sets/{data_set}/records"

    def ages(**query: str) -> list[int]:
        answer = http.get(path, params={"format": "list", "limit": "1000", **query}).json()
        column = answer["records"][0]["fields"].index("Age")
        return sorted(row[column] for row in answer["records"][0]["values"])

    assert ages(filter="Age:gte:38") == [38, 39]
    assert ages(filter="Sex:eq:M;Age:lt:22") == [20, 21]
    assert ages(filter="Age:in:20,39") == [20, 39]
    assert ages(filter="prediction:like:Ri%;Age:lt:21") == [20]
    assert len(ages(filter="Age:nonnull")) == 40
    assert ages(filter="Sex:eq:M", start="2024-01-19T19:27:18Z") == [38, 39]
    for wrong in ("canary:eq:1", "_record_id:nonnull", "Age:above:3"):
        assert http.get(path, params={"filter": wrong}).status_code == 400


def test_another_data_mart_cannot_be_chosen_from_outside(http: TestClient) -> None:
    elsewhere = {"database_configuration": {"location": {"schema": "other"}, "credentials": {"uri": "x"}}}
    assert http.put(MART, json=elsewhere).status_code == 400
    assert http.get("/v1/data_marts/99999999-2222-3333-4444-555555555555").status_code == 404
