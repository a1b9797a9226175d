"""The DAG files as Airflow's DAG processor sees them, and what paylog tells Airflow about itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
TRAINING = "paylog_training_data__credit-risk"

# Airflow parses a DAG file in a process of its own: so do these tests. Sockets are closed to it.
_PARSE = """
import json, logging, socket, sys, time
import airflow.sdk
import airflow.dag_processing.dagbag as dagbag

def refuse(*args, **kwargs):
    raise AssertionError("DAG parsing opened a connection")

socket.socket.connect = refuse
socket.create_connection = refuse
socket.getaddrinfo = refuse
started = time.process_time()
found = dagbag.DagBag(sys.argv[1])
seconds = time.process_time() - started
from airflow.serialization.serialized_objects import DagSerialization
print("ANSWER" + json.dumps({
    "errors": {str(k): str(v) for k, v in found.import_errors.items()},
    "dags": {d: DagSerialization.to_dict(dag)["dag"] for d, dag in found.dags.items()},
    "seconds": seconds,
    "heavy": [m for m in ("pandas", "psycopg", "ibm_boto3", "duckdb") if m in sys.modules],
}, default=str))
"""


REPLAYS = {f"paylog_replay__{name}" for name in ("churn", "churn-kserve", "credit-risk", "credit-risk-azure")}
OTHERS = {"paylog_maintenance", "paylog__churn-kserve", "paylog__credit-risk", "paylog__credit-risk-azure"}


def parse(
    home: Path, subscriptions: Path, *, dag_id: str = "", dags: Path = REPOSITORY / "dags"
) -> dict[str, Any]:
    """What the DAG folder gives with this folder of subscriptions."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////dev/null/absent",
        "PAYLOG_SUBSCRIPTIONS": str(subscriptions),
        "_AIRFLOW_PARSING_CONTEXT_DAG_ID": dag_id,
    }
    if not dag_id:
        del environment["_AIRFLOW_PARSING_CONTEXT_DAG_ID"]
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(dags)],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answers, done.stderr[-3000:]
    return dict(json.loads(answers[0].removeprefix("ANSWER")))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AIRFLOW_HOME without anything in it."""
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def shipped(home: Path) -> dict[str, Any]:
    """The DAGs of the subscriptions that the repository ships."""
    return parse(home, REPOSITORY / "subscriptions")


@pytest.fixture
def subscriptions(tmp_path: Path) -> Path:
    """A folder with the shipped subscriptions, to break."""
    for file in (REPOSITORY / "subscriptions").glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    return tmp_path


def task(dag: dict[str, Any], name: str) -> dict[str, Any]:
    """A task as serialized, with the arguments of a mapped one in the same place."""
    found = next(t["__var"] for t in dag["tasks"] if t["__var"]["task_id"] == name)
    return {**found, **found.get("partial_kwargs", {})}


def test_every_subscription_gives_one_dag_without_network_or_heavy_imports(shipped: dict[str, Any]) -> None:
    assert shipped["errors"] == {}
    assert set(shipped["dags"]) == {"paylog__churn", TRAINING, *OTHERS, *REPLAYS}
    assert shipped["heavy"] == []
    assert shipped["seconds"] < 1.0


def test_the_graph_is_plan_ingest_reconcile(shipped: dict[str, Any]) -> None:
    dag = shipped["dags"]["paylog__churn"]
    downstream = {t["__var"]["task_id"]: t["__var"].get("downstream_task_ids", []) for t in dag["tasks"]}
    assert downstream == {
        "plan": ["ingest"],
        "ingest": ["reconcile"],
        "reconcile": ["complete"],
        "complete": [],
    }
    assert task(dag, "ingest")["_is_mapped"]
    assert task(dag, "ingest")["pool"] == "paylog_load"
    assert task(dag, "ingest")["max_active_tis_per_dagrun"] == 2
    assert task(dag, "reconcile")["trigger_rule"] == "none_failed"
    assert task(dag, "reconcile")["outlets"][0]["__var"]["name"] == "paylog/churn"
    assert task(dag, "complete")["outlets"][0]["__var"]["name"] == "paylog/churn/complete"


def test_a_subscription_that_names_a_service_is_delivered_before_it_is_reconciled(
    home: Path, subscriptions: Path
) -> None:
    with (subscriptions / "churn.yaml").open("a") as file:
        file.write("\ndeliver: {connection: service, data_set: d}\n")
    dag = parse(home, subscriptions, dag_id="paylog__churn")["dags"]["paylog__churn"]
    downstream = {t["__var"]["task_id"]: t["__var"].get("downstream_task_ids", []) for t in dag["tasks"]}
    assert downstream == {
        "plan": ["ingest"],
        "ingest": ["loaded"],
        "loaded": ["deliver", "reconcile"],
        "deliver": ["delivered", "reconcile"],
        "delivered": [],
        "reconcile": ["complete"],
        "complete": [],
    }
    assert task(dag, "loaded")["trigger_rule"] == "none_failed"
    assert task(dag, "reconcile")["trigger_rule"] == "all_done_min_one_success"
    assert task(dag, "deliver")["has_retry_policy"]
    assert "data set `d`" in dag["doc_md"]


def test_the_replay_dag_asks_for_a_reason_and_waits_for_nobody(shipped: dict[str, Any]) -> None:
    dag = shipped["dags"]["paylog_replay__churn"]
    assert [t["__var"]["task_id"] for t in dag["tasks"]] == ["replay"]
    params = dict(dag["params"])
    assert set(params) == {"reason", "window_start", "window_end"}
    assert "TYPE_MISMATCH" in json.dumps(params["reason"])
    assert dag["timetable"]["__type"].endswith("NullTimetable")


def test_the_example_of_a_job_that_starts_on_completeness(home: Path, tmp_path: Path) -> None:
    """docs/operating.md, as a DAG file of the user."""
    text = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
    (example,) = (code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "@dag" in code)
    (tmp_path / "drift.py").write_text(example)
    found = parse(home, REPOSITORY / "subscriptions", dags=tmp_path)
    assert found["errors"] == {}
    timetable = found["dags"]["credit_risk_drift"]["timetable"]
    assert "paylog/credit-risk/complete" in json.dumps(timetable)


def test_the_schedule_has_data_intervals_and_no_catchup(shipped: dict[str, Any]) -> None:
    dag = shipped["dags"]["paylog__churn"]
    assert dag["timetable"]["__type"].endswith("CronDataIntervalTimetable")
    assert dag["catchup"] is False
    assert dag["default_args"]["__var"]["retry_exponential_backoff"] == 2.0
    assert all(task(dag, name)["has_retry_policy"] for name in ("plan", "ingest", "reconcile"))


def test_a_subscription_with_alerts_reports_failures_and_is_looked_at(
    home: Path, subscriptions: Path, shipped: dict[str, Any]
) -> None:
    assert not any("callback" in name for name in task(shipped["dags"]["paylog__churn"], "plan"))
    with (subscriptions / "churn.yaml").open("a") as file:
        file.write("\nalerts: {deadline: 2h}\n")
    dags = parse(home, subscriptions)["dags"]
    churn, check = dags["paylog__churn"], dags["paylog_alerts"]
    assert churn["has_on_failure_callback"]
    assert all(task(churn, name)["has_on_failure_callback"] for name in ("plan", "ingest", "reconcile"))
    assert task(churn, "reconcile")["has_on_success_callback"]
    (deadline,) = churn["deadline"]
    assert deadline["callback"]["__data__"]["path"] == "paylog.airflow.alerts.deadline_missed"
    assert (check["doc_md"], check["max_active_runs"]) == ("Subscriptions: churn.", 1)
    assert check["timetable"]["__var"]["expression"] == "*/10 * * * *"


def test_training_data_is_checked_on_its_own_schedule(shipped: dict[str, Any]) -> None:
    dag = shipped["dags"][TRAINING]
    downstream = {t["__var"]["task_id"]: t["__var"].get("downstream_task_ids", []) for t in dag["tasks"]}
    assert downstream == {"check": ["finding"], "finding": []}
    assert task(dag, "finding")["_is_mapped"]
    assert task(dag, "check")["outlets"][0]["__var"]["name"] == "paylog/credit-risk/training_data"
    assert dag["timetable"]["__type"].endswith("CronTriggerTimetable")
    assert dag["timetable"]["__var"]["expression"] == "0 3 * * *"
    assert (dag["catchup"], dag["max_active_runs"]) == (False, 1)
    assert all(task(dag, name)["has_retry_policy"] for name in ("check", "finding"))
    assert "paylog training check credit-risk" in dag["doc_md"]


def test_one_dag_maintains_all_subscriptions(shipped: dict[str, Any]) -> None:
    dag = shipped["dags"]["paylog_maintenance"]
    downstream = {t["__var"]["task_id"]: t["__var"].get("downstream_task_ids", []) for t in dag["tasks"]}
    assert downstream == {"subscriptions": ["maintain"], "maintain": []}
    assert task(dag, "maintain")["_is_mapped"]
    assert task(dag, "maintain")["has_retry_policy"]
    assert dag["timetable"]["__type"].endswith("CronTriggerTimetable")
    assert (dag["catchup"], dag["max_active_runs"]) == (False, 1)


@pytest.mark.parametrize("name", ["paylog__churn", TRAINING, "paylog_maintenance"])
def test_only_the_wanted_dag_is_built_for_a_task(home: Path, name: str) -> None:
    assert set(parse(home, REPOSITORY / "subscriptions", dag_id=name)["dags"]) == {name}


def test_a_broken_subscription_is_an_import_error_and_costs_no_other_dag(
    home: Path, subscriptions: Path
) -> None:
    broken = subscriptions / "churn.yaml"
    broken.write_text(broken.read_text().replace("class_labels:", "class_label:"))
    (subscriptions / "unreadable.yaml").write_text("id: [\n")
    found = parse(home, subscriptions)
    assert set(found["dags"]) == {TRAINING, *OTHERS, *REPLAYS} - {"paylog_replay__churn"}
    ((file, message),) = found["errors"].items()
    assert file.endswith("paylog_subscription_errors.py")
    assert "churn.yaml:" in message
    assert "did you mean 'class_labels'" in message
    assert "unreadable.yaml:" in message


def test_an_id_used_twice_builds_neither(home: Path, subscriptions: Path) -> None:
    (subscriptions / "copy.yaml").write_text((subscriptions / "churn.yaml").read_text())
    found = parse(home, subscriptions)
    assert set(found["dags"]) == {TRAINING, *OTHERS, *REPLAYS} - {"paylog_replay__churn"}
    assert "copy.yaml" in "".join(found["errors"].values())


def test_a_stop_error_and_all_below_it_is_not_retried() -> None:
    from airflow.sdk.definitions.retry_policy import RetryAction

    from paylog import errors
    from paylog.airflow.dag import RETRIES

    def action(kind: type[Exception]) -> RetryAction:
        return RETRIES["retry_policy"].evaluate(kind.__new__(kind), 1, 4).action  # type: ignore[no-any-return]

    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.PaylogError)]
    stops = [k for k in kinds if issubclass(k, errors.StopError)]
    assert len(stops) > 5
    assert {action(k) for k in stops} == {RetryAction.FAIL}
    assert {action(k) for k in kinds if k not in stops} == {RetryAction.DEFAULT}
    assert {action(k) for k in (OSError, MemoryError, ValueError)} == {RetryAction.DEFAULT}
    assert {action(k) for k in (TypeError, AttributeError)} == {RetryAction.FAIL}


def test_provider_info_is_valid_and_names_classes_that_exist() -> None:
    import airflow
    import jsonschema  # type: ignore[import-untyped]
    from airflow.sdk.module_loading import import_string  # type: ignore[attr-defined]

    from paylog.airflow.provider import get_provider_info

    schema = Path(airflow.__file__).parent / "provider_info.schema.json"
    info = get_provider_info()
    jsonschema.validate(info, json.loads(schema.read_text()))
    for kind in info["connection-types"]:
        hook = import_string(kind["hook-class-name"])
        assert hook.conn_type == kind["connection-type"]
        assert hook.hook_name == kind["hook-name"]


def test_another_providers_own_form_is_left_to_it(monkeypatch) -> None:
    from paylog.airflow import connection_types

    monkeypatch.setattr(connection_types, "_installed", lambda provider: provider.endswith("-amazon"))
    kinds = [kind["connection-type"] for kind in connection_types.connection_types()]
    ours = ["ibm_cos", "ibm_db2", "paylog_folder", "paylog_openscale"]
    assert kinds == [*ours, "wasb", "google_cloud_platform"]


def test_a_password_field_is_declared_as_one() -> None:
    from paylog.airflow.provider import get_provider_info

    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    assert fields["api_key"]["schema"]["format"] == "password"
