"""One real Airflow, with PostgreSQL and an object store, for all acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import page_site
import pytest
import watched
import year_of_logs
from openscale_service import deliver_section
from shipped import subscription

from paylog.testing.airflow_api import AirflowApi
from paylog.testing.demo_logs import write_demo_logs
from paylog.testing.demo_training import write_training_data
from paylog.testing.mail_server import MailServer
from paylog.testing.stack import Stack
from paylog.testing.statsd_receiver import StatsdReceiver

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def subscriptions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two shipped subscriptions, two that cannot reach their data mart, one that requires training
    data which is not there, two that are delivered to a service, which refuses what the second holds;
    two more for backfills, which stay paused."""
    folder = tmp_path_factory.mktemp("subscriptions")
    mart = "connection: paylog_data_mart"
    files = {
        "credit_risk": subscription("credit_risk"),
        "churn": subscription("churn"),
        "unknown": subscription(
            "churn", **{"id: churn\n": "id: unknown\n", mart: "connection: no_such_mart"}
        ),
        **{
            name: subscription("credit_risk", **{"id: credit-risk\nservice": f"id: {name}\nservice"})
            + deliver_section(name)
            for name in ("delivered", "refused")
        },
        "down": subscription("churn", **{"id: churn\n": "id: down\n", mart: "connection: mart_down"}),
        "strict": subscription(
            "credit_risk",
            **{
                "id: credit-risk\nservice": "id: strict\nservice",
                "# require: [training_data]": "require: [training_data]",
                "object: credit-risk/german_credit.csv": "object: credit-risk/german_credits.csv",
            },
        ),
    }
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    watched.write(folder, watched.STRICT)
    year_of_logs.subscriptions(folder)
    page_site.subscriptions(folder)
    return folder


@pytest.fixture(scope="session")
def receivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[watched.Receivers]:
    """Of mails, metrics and lineage."""
    with MailServer() as mail, StatsdReceiver() as statsd:
        yield watched.Receivers(mail, statsd, tmp_path_factory.mktemp("lineage"))


@pytest.fixture(scope="session")
def stack(subscriptions: Path, receivers: watched.Receivers) -> Iterator[Stack]:
    # Not below pytest's folder: each session closes that to other users, and PostgreSQL runs as one.
    with TemporaryDirectory(prefix="paylog-", ignore_cleanup_errors=True) as state:
        Path(state).chmod(0o711)
        with Stack(
            Path(state),
            dags=REPOSITORY / "dags",
            subscriptions=subscriptions,
            more_connections=receivers.connections(),
            more_settings=receivers.settings() | {"AIRFLOW__PAYLOG__SHOW_VALUES": "True"},
        ) as started:
            write_demo_logs(started.object_store.client)
            write_training_data(started.object_store.client)
            yield started


@pytest.fixture(scope="session")
def airflow(stack: Stack) -> AirflowApi:
    """A client with the administrator's rights; every DAG is there and unpaused."""
    api = stack.wait_ready()
    # Nothing listens on TCP port 9 of loopback: the connection is refused, which a retry may mend.
    api.put_connection(
        {"connection_id": "mart_down", "conn_type": "postgres", "host": "127.0.0.1", "port": 9, "schema": "x"}
    )
    names = ("credit-risk", "churn", "unknown", "down", "strict", "delivered", "refused")
    wanted = {f"paylog__{name}" for name in names}
    wanted |= {f"paylog_training_data__{name}" for name in ("credit-risk", "strict")}
    stack.wait(lambda: wanted <= api.dags(), what="the DAGs to be parsed")
    for dag_id in wanted:
        api.unpause(dag_id)
    return api
