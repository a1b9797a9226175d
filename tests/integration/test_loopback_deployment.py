"""The compose file's services where a machine allows no network namespaces: on loopback, on free ports.

The stores and Redis are started, and asked as the environment of Airflow's processes says; the processes
themselves are not: tests/acceptance/test_celery.py starts those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from paylog.connections import parse
from paylog.data_mart import DataMart
from paylog.errors import ObjectNotFound
from paylog.storage import connect
from paylog.testing import celery_stack
from paylog.testing.celery_stack import CeleryStack
from paylog.testing.host_network import Loopback

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("api-server", "scheduler", "worker-1", "worker-2")


@pytest.fixture(scope="module")
def stack() -> Iterator[CeleryStack]:
    with (
        TemporaryDirectory(prefix="paylog-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o711)
        patch.setattr(celery_stack, "network", lambda inside, outside: Loopback())
        patch.setattr(celery_stack, "AIRFLOW", ())
        patch.setattr(celery_stack, "_JOBS", ())
        made = CeleryStack(Path(folder), repository=REPOSITORY, subscriptions=REPOSITORY / "subscriptions")
        workers, made.workers = made.workers, []
        with made as started:
            started.workers = workers
            yield started


def environment(stack: CeleryStack, host: str) -> dict[str, str]:
    """Airflow's variables, before the entry point has put the secrets in."""
    given = stack._environment(host, "worker" if host in stack.workers else host)
    return {name: value for name, value in given.items() if name.startswith("AIRFLOW")}


def with_secrets(stack: CeleryStack, value: str) -> str:
    return re.sub(r"\{secret:(\w+)\}", lambda found: stack.secret(found[1]), value)


@pytest.mark.parametrize("host", SERVICES)
def test_no_address_is_that_of_a_container(stack: CeleryStack, host: str) -> None:
    text = "\n".join(environment(stack, host).values())
    addresses = re.findall(r"(?://|@)([\w.-]+):(\d+)", text)
    assert len(addresses) >= 5
    assert {address for address, _ in addresses} == {"127.0.0.1"}


def test_the_stores_answer_where_a_worker_looks_for_them(stack: CeleryStack) -> None:
    known = {name: with_secrets(stack, value) for name, value in environment(stack, "worker-1").items()}
    there = parse("mart", known["AIRFLOW_CONN_PAYLOG_DATA_MART"])
    owner = replace(stack.data_mart_connection("mart"), host=there.host, port=there.port)
    with DataMart(owner, "nothing yet") as mart:
        assert not mart.is_set_up()
    with pytest.raises(ObjectNotFound, match="bucket does not exist"):
        list(connect(parse("logs", known["AIRFLOW_CONN_PAYLOG_LOGS"]), "no-bucket").list(""))
    with redis.Redis.from_url(known["AIRFLOW__CELERY__BROKER_URL"]) as broker:
        stack.wait(lambda: answers(broker), what="Redis", seconds=20)
    metadata = known["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg", "postgres")
    with DataMart(parse("metadata", metadata), "nothing yet") as mart:
        assert not mart.is_set_up()


def answers(broker: redis.Redis) -> bool:
    try:
        return bool(broker.ping())
    except redis.ConnectionError:
        return False


def test_processes_that_share_an_address_share_no_port_and_no_name(stack: CeleryStack) -> None:
    ports = [
        environment(stack, worker)["AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"] for worker in stack.workers
    ]
    names = [stack._through_entrypoint(worker, ["celery", "worker"])[-1] for worker in stack.workers]
    assert len(set(ports)) == len(stack.workers) == 2
    assert names == ["worker-1@%h", "worker-2@%h"]
