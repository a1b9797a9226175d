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

import pytest

from paylog.testing.celery_stack import CeleryStack
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
