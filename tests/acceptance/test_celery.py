"""The services of docker-compose.yml, natively: Celery workers, Redis, two PostgreSQL servers, a store.

Services are killed in turn while days are backfilled; the long version is paylog.testing.faults.deployment.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psycopg
import pytest

from paylog.connections import postgres_dsn
from paylog.testing.celery_stack import AIRFLOW, CeleryStack
from paylog.testing.faults.deployment import SERVED, Backfill
from paylog.testing.host_network import Namespaces

REPOSITORY = Path(__file__).parents[2]
DAYS = 2
# The compose file's limits are for machines; here a lost task shall be missed sooner.
SOONER = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "45",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[CeleryStack]:
    with TemporaryDirectory(prefix="paylog-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        subscriptions = REPOSITORY / "subscriptions"
        with CeleryStack(
            Path(folder), repository=REPOSITORY, subscriptions=subscriptions, settings=SOONER
        ) as started:
            yield started


@pytest.fixture(scope="module")
def backfill(stack: CeleryStack) -> Backfill:
    """A backfill of some days of three subscriptions, just started."""
    made = Backfill(stack, DAYS, records=200)
    made.start()
    return made


@pytest.fixture
def namespaces() -> None:
    """Asks the machine itself: the stack takes loopback without a word where it gets none."""
    name = f"paylog-probe-{os.getpid()}"
    try:
        for action in ("add", "del"):
            subprocess.run(["ip", "netns", action, name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets us make no network namespaces")


@pytest.mark.usefixtures("namespaces")
def test_services_have_hosts_of_their_own(stack: CeleryStack) -> None:
    assert isinstance(stack.network, Namespaces)


@pytest.mark.timeout(600)
def test_killed_in_turn_and_no_run_fails_or_is_stuck(backfill: Backfill) -> None:
    struck = backfill.trouble(seconds=20, dice=random.Random(1))
    assert set(struck) & {"worker-1", "worker-2"}
    assert set(struck) >= {"redis", "data-mart"}
    backfill.finish(seconds=400)


def test_the_books_are_those_of_a_clean_run(backfill: Backfill) -> None:
    assert backfill.compare() > DAYS * 500


@pytest.mark.usefixtures("namespaces")
def test_both_workers_did_some_of_it(backfill: Backfill, stack: CeleryStack) -> None:
    hosts = {
        task["hostname"]
        for served in SERVED
        for run in backfill.api.get(f"/dags/paylog__{served.name}/dagRuns", run_type="backfill")["dag_runs"]
        for task in backfill.api.tasks(f"paylog__{served.name}", run["dag_run_id"])
        if task["state"] == "success"  # what is skipped has no host
    }
    assert hosts == {"worker-1", "worker-2"} == set(stack.workers)


def test_the_tables_are_the_owners_and_the_other_roles_only_load_or_read(stack: CeleryStack) -> None:
    with psycopg.connect(postgres_dsn(stack.data_mart_connection("admin"))) as link:
        tables = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'paylog_demo'"
        assert link.execute(tables).fetchall() == [("paylog_owner",)]
        may = "SELECT has_table_privilege(%s, 'paylog_demo.paylog_receipt', 'INSERT')"
        rights = {role: link.execute(may, (role,)).fetchone() for role in ("paylog_load", "paylog_read")}
        assert rights == {"paylog_load": (True,), "paylog_read": (False,)}


def test_the_page_needs_no_more_than_the_role_that_reads(backfill: Backfill, stack: CeleryStack) -> None:
    url, login = backfill.api.url, {"username": "admin", "password": stack.secret("airflow_admin_password")}
    token = httpx.post(f"{url}/auth/token", json=login, timeout=60).json()["access_token"]
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        for path in (
            "",
            "/credit-risk",
            "/credit-risk/days",
            "/credit-risk/receipts",
            "/credit-risk/rejected",
        ):
            answer = client.get(f"{url}/paylog/api/subscriptions{path}")
            assert answer.status_code == 200, answer.text
        cards = client.get(f"{url}/paylog/api/subscriptions").json()["subscriptions"]
    states = {card["id"]: card["state"] for card in cards}
    assert {states[served.name] for served in SERVED} <= {"complete", "behind"}


def test_the_pools_are_made_without_a_command(backfill: Backfill, stack: CeleryStack) -> None:
    given = stack.compose.environment_of("scheduler")
    made = {pool["name"]: pool["slots"] for pool in backfill.api.get("/pools")["pools"]}
    assert made["paylog_load"] == int(given["AIRFLOW__PAYLOG__LOAD_SLOTS"])
    assert "paylog_backfill" in made


@pytest.mark.usefixtures("namespaces")  # the checks go by the names of hosts, on loopback all the same
def test_every_service_is_healthy_when_docker_asks_it(stack: CeleryStack) -> None:
    for host in (*AIRFLOW, *stack.workers):
        done = stack.health(host)
        assert done.returncode == 0, (host, done.stdout[-500:], done.stderr[-500:])
