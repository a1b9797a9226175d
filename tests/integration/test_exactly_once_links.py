"""PostgreSQL crashes, links break: the load says "try again", keeps nothing, and the rerun is a clean run."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
import stamina

from paylog import pipeline
from paylog.connections import Connection, parse, use_resolver
from paylog.data_mart import load
from paylog.errors import RetriableError
from paylog.records import Counts
from paylog.subscription import Subscription
from paylog.testing.exactly_once.books import Books, assert_nothing_held, books, receipt_ids
from paylog.testing.exactly_once.runs import clean_run, in_schema, plan, run
from paylog.testing.exactly_once.served_model import (
    DATA_MART,
    DAY,
    LOGS,
    LogFolder,
    churn,
    churn_log,
    credit,
    credit_log,
)
from paylog.testing.exactly_once.wire import Point, Stage, Wire
from paylog.testing.object_store import ObjectStore
from paylog.testing.postgres import EmbeddedPostgres
from paylog.testing.scoring_logs import Defect
from paylog.testing.tcp_proxy import TcpProxy

CANARY = b"less_0-secret-canary"
BUCKET = "scoring-logs"
_DEFECTS = {Defect.TYPE_MISMATCH: 6, Defect.MISSING_RESPONSE: 6, Defect.DUPLICATE: 6}
FOLDER_LOG = credit_log(records=3_000, objects_count=4, defects=_DEFECTS)
ENDPOINT_LOG = churn_log(records=12_000, objects_count=6, defects=_DEFECTS)
REPEATED = 60
PROXIED = "data_mart_over_proxy"
_connections: dict[str, Connection] = {}
_numbers = count()


@pytest.fixture(scope="module")
def durable() -> Iterator[EmbeddedPostgres]:
    """A server of its own, with default durability, that may be crashed."""
    with EmbeddedPostgres(port=0) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(durable: EmbeddedPostgres) -> Iterator[TcpProxy]:
    """Stands between paylog and the server."""
    assert durable.port is not None
    with TcpProxy(("127.0.0.1", durable.port)) as proxy:
        _connections[DATA_MART] = parse(DATA_MART, durable.tcp_url(scheme="postgres"))
        _connections[PROXIED] = parse(PROXIED, durable.tcp_url(scheme="postgres", port=proxy.port))
        use_resolver(_connections.__getitem__)
        yield proxy
    use_resolver(None)
    _connections.clear()


@pytest.fixture(autouse=True)
def _many_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "BUFFER_ROWS", 150)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> LogFolder:
    """Four objects, and one that repeats records of the first; one of their categories is a secret."""
    folder = LogFolder(tmp_path_factory.mktemp("logs"))
    keys = [folder.write(item.key, item.data.replace(b"less_0", CANARY)) for item in FOLDER_LOG.objects()]
    folder.write(keys[0].replace(".jsonl", "-again.jsonl"), folder.lines(keys[0])[:REPEATED])
    return folder


@pytest.fixture
def owner(proxy: TcpProxy, folder: LogFolder) -> Iterator[Subscription]:
    """A subscription to the folder, with a data mart of its own."""
    _connections[LOGS] = folder.connection
    proxy.watch = None
    yield credit(data_mart={"schema": f"paylog {next(_numbers)}"})
    proxy.refuse(False)


@pytest.fixture(scope="module")
def expected(proxy: TcpProxy, folder: LogFolder) -> Books:
    """The books of one clean run over the folder."""
    _connections[LOGS] = folder.connection
    found = books(clean_run(credit()))
    assert any(CANARY.decode() in row for row in found.rows)
    return found


def over_proxy(subscription: Subscription) -> Subscription:
    document = subscription.document()
    document["data_mart"]["connection"] = PROXIED
    return Subscription.model_validate(document)


def told(error: BaseException | None) -> str:
    """Everything that a logger could print of an error."""
    text = ""
    while error is not None:
        text += "".join(traceback.format_exception(error)) + repr(error)
        error = error.__cause__ or error.__context__
    return text


def fail_and_load_again(
    owner: Subscription, expected: Books, proxy: TcpProxy, wire: Wire, caplog: pytest.LogCaptureFixture
) -> Counts:
    """Load through the wire, which strikes; then again, and compare with a clean run. The rerun's counts."""
    caplog.set_level(logging.DEBUG)
    run_id, (batch_id,) = plan(owner)
    proxy.watch = wire
    with pytest.raises(RetriableError) as caught:
        pipeline.ingest_planned(over_proxy(owner), run_id, batch_id)
    stage = wire.wait()
    assert "secret-canary" not in told(caught.value) + caplog.text
    assert_nothing_held()
    committed = receipt_ids(owner)
    assert len(committed) == (stage is Stage.COMMITTED)
    receipt = pipeline.ingest_planned(over_proxy(owner), run_id, batch_id)
    pipeline.reconcile(owner, run_id, DAY)
    assert books(owner) == expected
    assert receipt_ids(owner) == [*committed, receipt.receipt_id]
    return receipt.counts


@pytest.mark.parametrize("sent", [0.3, 0.8])
def test_postgresql_crashes_while_rows_are_copied(
    durable: EmbeddedPostgres,
    proxy: TcpProxy,
    owner: Subscription,
    expected: Books,
    caplog: pytest.LogCaptureFixture,
    sent: float,
) -> None:
    size = _bytes_of_a_load(owner, proxy)
    wire = Wire(Point(sent=int(size * sent)), lambda: durable.restart("immediate"))
    counts = fail_and_load_again(owner, expected, proxy, wire, caplog)
    assert wire.struck in (Stage.COPYING, Stage.STAGING)
    planted = FOLDER_LOG.expected.counts
    assert (counts.read, counts.loaded) == (planted.read + REPEATED, planted.loaded)


def test_postgresql_crashes_after_the_commit(
    durable: EmbeddedPostgres,
    proxy: TcpProxy,
    owner: Subscription,
    expected: Books,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was committed survives, though its receipt never arrived: the rerun has nothing to do."""
    wire = Wire(Point(Stage.COMMITTED), lambda: durable.restart("immediate"))
    assert fail_and_load_again(owner, expected, proxy, wire, caplog) == Counts()


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.BEGUN])
def test_the_link_to_postgresql_is_cut(
    proxy: TcpProxy,
    owner: Subscription,
    expected: Books,
    caplog: pytest.LogCaptureFixture,
    stage: Stage,
) -> None:
    wire = Wire(Point(stage), proxy.cut)
    counts = fail_and_load_again(owner, expected, proxy, wire, caplog)
    assert wire.struck is stage
    assert bool(counts.read) is (stage is not Stage.COMMITTED)


def test_postgresql_refuses(proxy: TcpProxy, owner: Subscription) -> None:
    run_id, (batch_id,) = plan(owner)
    proxy.refuse()
    with pytest.raises(RetriableError):
        pipeline.plan(over_proxy(owner), DAY)
    with pytest.raises(RetriableError):
        pipeline.ingest_planned(over_proxy(owner), run_id, batch_id)
    with pytest.raises(RetriableError):
        pipeline.reconcile(over_proxy(owner), run_id, DAY)
    proxy.refuse(False)
    assert pipeline.ingest_planned(over_proxy(owner), run_id, batch_id).counts.read


def _bytes_of_a_load(owner: Subscription, proxy: TcpProxy) -> int:
    """What a whole load sends to PostgreSQL."""
    proxy.watch = wire = Wire()
    run(in_schema(over_proxy(owner), f"rehearsal {next(_numbers)}"))
    return wire.sent


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path_factory.mktemp("seaweedfs")) as server:
        server.create_bucket(BUCKET)
        for item in ENDPOINT_LOG.objects():
            server.put(BUCKET, "churn/" + item.key, item.data)
        yield server


@pytest.fixture
def store_link(store: ObjectStore) -> Iterator[TcpProxy]:
    """Stands between paylog and the object store; its retries do not wait."""
    stamina.set_testing(True, attempts=4)
    with TcpProxy(("127.0.0.1", store.port)) as link:
        yield link
    stamina.set_testing(False)


@pytest.fixture
def endpoint_owner(proxy: TcpProxy, store: ObjectStore, store_link: TcpProxy) -> Subscription:
    """A subscription with six objects of some 1.2 MB in the object store."""
    proxy.watch = None
    endpoint = f"http://127.0.0.1:{store_link.port}"
    _connections[LOGS] = replace(store.connection(LOGS), extra={"endpoint_url": endpoint})
    number = next(_numbers)
    return churn(logs={"bucket": BUCKET, "prefix": "churn/"}, data_mart={"schema": f"paylog {number}"})


def test_the_link_to_the_store_is_cut_in_a_body_and_the_body_is_resumed(
    endpoint_owner: Subscription, store_link: TcpProxy
) -> None:
    expected = books(clean_run(endpoint_owner))
    run_id, (batch_id,) = plan(endpoint_owner)
    store_link.cut_after(1_100_000, times=3)
    receipt = pipeline.ingest_planned(endpoint_owner, run_id, batch_id)
    assert store_link.cuts == 3
    assert receipt.counts == ENDPOINT_LOG.expected.counts
    assert books(endpoint_owner) == expected


def test_the_store_goes_away_while_a_body_is_read(endpoint_owner: Subscription, store_link: TcpProxy) -> None:
    """Rows of the first objects are written when the last cannot be opened: nothing of them is kept."""
    expected = books(clean_run(endpoint_owner))
    run_id, (batch_id,) = plan(endpoint_owner)
    rows = 0

    def vanish(read: int, size: int) -> None:
        nonlocal rows
        rows += read
        if rows > 2_000:
            store_link.refuse()

    with pytest.raises(RetriableError, match=f"cos://{BUCKET}/churn/"):
        pipeline.ingest_planned(endpoint_owner, run_id, batch_id, vanish)
    assert rows > 2_000
    with pytest.raises(RetriableError, match=f"cos://{BUCKET}/churn/"):
        pipeline.plan(endpoint_owner, DAY)
    assert_nothing_held()
    assert books(endpoint_owner).rows == []
    assert receipt_ids(endpoint_owner) == []
    store_link.refuse(False)
    pipeline.ingest_planned(endpoint_owner, run_id, batch_id)
    pipeline.reconcile(endpoint_owner, run_id, DAY)
    assert books(endpoint_owner) == expected
