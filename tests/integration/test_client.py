"""The documented client on a real PostgreSQL: the snippet as it stands, then the whole notebook path."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from payload_blocks import query

from paylog import APIClient
from paylog.client import PayloadRecord
from paylog.client.engines import (
    CustomMachineLearningAsset,
    CustomMachineLearningInstance,
    SageMakerMachineLearningAsset,
    SageMakerMachineLearningInstance,
)
from paylog.client.payload_record import encoded
from paylog.client.supporting_classes.enums import FeedbackFormat, InputDataType, ProblemType
from paylog.connections import Connection, use_resolver
from paylog.errors import AccessDenied, ConfigurationError, InvalidInput
from paylog.layout import Window
from paylog.pipeline import ingest, plan, prepare
from paylog.subscription import load_subscriptions

aios_credentials = {
    "instance_guid": "11111111-2222-3333-4444-555555555555",
    "url": "https://api.aiopenscale.cloud.ibm.com",
    "apikey": "not-a-real-key",
}
SCHEMA = "ext payloads"
FIELDS = ["LoanDuration", "LoanPurpose", "Sex"]


@pytest.fixture
def postgres_credentials(empty_database: Connection) -> dict[str, Any]:
    return {
        "db_type": "postgresql",
        "hostname": empty_database.extra["host"],
        "port": empty_database.port,
        "username": empty_database.login,
        "password": empty_database.password,
        "db": empty_database.schema,
    }


@pytest.fixture
def client(postgres_credentials: dict[str, Any]) -> APIClient:
    made = APIClient(aios_credentials)
    made.data_mart.setup(db_credentials=postgres_credentials, schema=SCHEMA)
    return made


def subscribe(client: APIClient, **more: Any) -> Any:
    binding = client.data_mart.bindings.add(
        "My engine", CustomMachineLearningInstance({"url": "http://127.0.0.1:9"})
    )
    asset = CustomMachineLearningAsset(
        source_uid="credit",
        binding_uid=binding,
        problem_type=ProblemType.BINARY_CLASSIFICATION,
        input_data_type=InputDataType.STRUCTURED,
        label_column="Risk",
        prediction_column="prediction",
        probability_column="probability",
        feature_columns=FIELDS,
        categorical_columns=["LoanPurpose", "Sex"],
        **more,
    )
    return client.data_mart.subscriptions.add(asset)


def records(count: int = 20, **more: Any) -> list[PayloadRecord]:
    """Requests of two rows each; every other one has a NaN, numpy's numbers, and no scoring id."""
    made = []
    for i in range(count):
        duration = np.int64(i) if i % 2 else float("nan")
        made.append(
            PayloadRecord(
                request={"fields": FIELDS, "values": [[duration, "car", "M"], [i + 1, "café", "F"]]},
                response={
                    "fields": ["probability", "prediction"],
                    "values": [[[0.25, 0.75], "Risk"], [[0.875, 0.125], "No Risk"]],
                },
                scoring_id=None if i % 2 else f"call-{i}",
                scoring_timestamp=f"2024-01-19T19:{i % 60:02}:57.5Z",
                response_time=i,
                **more,
            )
        )
    return made


def test_the_documented_snippet(postgres_credentials: dict[str, Any], empty_database: Connection) -> None:
    schema_name = "payload store"
    client = APIClient(aios_credentials)
    client.data_mart.setup(db_credentials=postgres_credentials, schema=schema_name)
    details = client.data_mart.get_details()

    assert details["metadata"]["guid"] == aios_credentials["instance_guid"]
    assert details["database_configuration"]["location"]["schema"] == schema_name
    assert details["status"]["state"] == "active"
    assert query(empty_database, "SELECT nspname FROM pg_namespace WHERE nspname = %s", schema_name) == [
        (schema_name,)
    ]


def test_a_second_setup_says_so_and_changes_nothing(
    client: APIClient, postgres_credentials: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = client.data_mart.get_details()
    client.data_mart.setup(db_credentials=postgres_credentials, schema=SCHEMA)
    assert "already defined" in capsys.readouterr().out
    assert client.data_mart.get_details() == before


def test_no_secret_is_shown_or_kept(client: APIClient, empty_database: Connection) -> None:
    subscribe(client)
    client.data_mart.bindings.add(
        "S",
        SageMakerMachineLearningInstance(
            {"access_key_id": "AK", "secret_access_key": "canary", "region": "eu"}
        ),
    )
    shown = json.dumps([client.data_mart.get_details(), client.data_mart.bindings.get_details()], default=str)
    kept = query(empty_database, f'SELECT b::text FROM "{SCHEMA}".paylog_service_binding b')
    assert "canary" not in shown + str(kept)
    assert "password" not in shown


def test_another_instance_may_not_take_the_schema(
    client: APIClient, postgres_credentials: dict[str, Any]
) -> None:
    other = APIClient({**aios_credentials, "instance_guid": "99999999-2222-3333-4444-555555555555"})
    with pytest.raises(ConfigurationError, match="another instance"):
        other.data_mart.setup(db_credentials=postgres_credentials, schema=SCHEMA)


def test_wrong_password_is_said_without_it(postgres_credentials: dict[str, Any]) -> None:
    client = APIClient(aios_credentials)
    wrong = {**postgres_credentials, "username": "nobody_here", "password": "canary"}
    with pytest.raises(AccessDenied) as raised:
        client.data_mart.setup(db_credentials=wrong, schema=SCHEMA)
    assert "canary" not in str(raised.value)


def test_the_notebook_path(client: APIClient) -> None:
    subscription = subscribe(client)
    assert client.data_mart.subscriptions.get_uids() == [subscription.uid]
    assert client.data_mart.subscriptions.get(name="credit").uid == subscription.uid
    assert subscription.get_details()["entity"]["asset_properties"]["label_column"] == "Risk"

    first = subscription.payload_logging.store(records()).counts
    again = subscription.payload_logging.store(records()).counts
    overlap = subscription.payload_logging.store(records(21)).counts
    assert (first.read, first.loaded) == (40, 40)
    assert (again.read, again.loaded) == (0, 0)  # the same call: already in the ledger
    assert (overlap.read, overlap.loaded, overlap.duplicate) == (42, 2, 40)
    assert subscription.payload_logging.get_records_count() == 42

    content = subscription.payload_logging.get_table_content(format="python", limit=None)
    rows = [dict(zip(content["fields"], row, strict=True)) for row in content["values"]]
    assert {row["scoring_id"] for row in rows} >= {"call-0-1", "call-0-2"}
    assert len({row["scoring_id"] for row in rows}) == 42
    assert sum(row["LoanDuration"] is None for row in rows) == 11
    assert {row["LoanPurpose"] for row in rows} == {"car", "café"}
    frame = subscription.payload_logging.get_table_content(limit=5)
    assert len(frame) == 5
    details = subscription.payload_logging.get_details()
    kinds = {f["name"]: f["type"] for f in details["parameters"]["output_data_schema"]["fields"]}
    assert kinds["LoanDuration"] == "integer"
    assert kinds["probability"] == {"type": "array", "elementType": "double", "containsNull": True}


def test_what_does_not_fit_is_rejected_and_counted(client: APIClient) -> None:
    subscription = subscribe(client)
    subscription.payload_logging.store(records())
    odd = records(1)[0]
    odd.scoring_id, odd.request["values"][0][0] = "odd", "many"
    receipt = subscription.payload_logging.store([odd])
    assert (receipt.counts.read, receipt.counts.loaded, receipt.counts.rejected) == (2, 1, 1)
    assert receipt.reasons == {"TYPE_MISMATCH": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scoring_timestamp": None}, "record 2: scoring_timestamp is missing"),
        ({"response_time": 1.5}, "record 2: response_time"),
        ({"response": "not json"}, "record 2: response is a text that is not JSON"),
        ({"request": [1]}, "record 2: request is a list"),
        ({"request": {"fields": ["a"], "values": [[object()]]}}, "record 2 holds a value of type object"),
    ],
)
def test_a_record_that_cannot_be_stored_keeps_the_whole_call_out(
    client: APIClient, change: dict[str, Any], message: str
) -> None:
    subscription = subscribe(client)
    good, bad = records(2)
    for name, value in change.items():
        setattr(bad, name, value)
    with pytest.raises(InvalidInput, match=message):
        subscription.payload_logging.store([good, bad])
    assert subscription.payload_logging.get_records_count() == 0


def test_disabled_logging_accepts_nothing(client: APIClient) -> None:
    subscription = subscribe(client)
    subscription.payload_logging.disable()
    with pytest.raises(ConfigurationError, match="disabled"):
        subscription.payload_logging.store(records())
    with pytest.raises(ConfigurationError, match="not enabled"):
        subscription.payload_logging.disable()
    subscription.payload_logging.enable()
    assert subscription.payload_logging.store(records()).counts.loaded == 40


def test_rows_that_are_taken_for_a_header_are_not_shown(client: APIClient) -> None:
    subscription = subscribe(client)
    subscription.payload_logging.store(records())
    feedback = subscription.feedback_logging
    with pytest.raises(InvalidInput) as raised:
        feedback.store("canary;car;M\n1;car;M;Risk\n", feedback_format=FeedbackFormat.CSV, data_header=True,
                       data_delimiter=";")  # fmt: skip
    assert "canary" not in str(raised.value)


def test_first_records_whose_schema_cannot_be_declared_say_what_is_wrong(client: APIClient) -> None:
    binding = client.data_mart.bindings.add("e", CustomMachineLearningInstance({"url": "http://127.0.0.1:9"}))
    asset = CustomMachineLearningAsset(source_uid="odd", binding_uid=binding, prediction_column="prediction")
    subscription = client.data_mart.subscriptions.add(asset)
    odd = PayloadRecord(
        request={"fields": ["scoring_id"], "values": [["canary"]]},
        response={"fields": ["prediction"], "values": [["Risk"]]},
        scoring_timestamp="2024-01-19T19:00:00Z",
    )
    with pytest.raises(ConfigurationError) as raised:
        subscription.payload_logging.store([odd])
    assert "model_schema" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_feedback_is_kept_as_it_was_given_or_refused(client: APIClient) -> None:
    subscription = subscribe(client)
    subscription.payload_logging.store(records())
    feedback = subscription.feedback_logging
    data: Any
    for data in ([1, 2, 3, 4], [[1, "car", "M", "Risk"], "1234"]):
        with pytest.raises(InvalidInput, match="do not have 4 cells"):
            feedback.store(data)
    for data, delimiter in ((b"\xff;car;M;Risk\n", ";"), ("1::car::M::Risk\n", "::")):
        with pytest.raises(InvalidInput, match="not CSV in UTF-8"):
            feedback.store(data, feedback_format=FeedbackFormat.CSV, data_delimiter=delimiter)
    feedback.store([[12, "null", "M", "Risk"], [24, np.float64("nan"), None, "Risk"]])
    content: Any = feedback.get_table_content("python")
    places = [content["fields"].index(name) for name in ("LoanDuration", "LoanPurpose", "Sex")]
    found = sorted([row[place] for place in places] for row in content["values"])
    assert found == [[12, "null", "M"], [24, None, None]]


def test_feedback_in_every_format_once(client: APIClient) -> None:
    subscription = subscribe(client)
    subscription.payload_logging.store(records())
    feedback = subscription.feedback_logging
    rows = [[12, "car", "M", "Risk"], [np.int64(24), "tv", "F", "No Risk"]]
    assert feedback.store(rows).loaded == 2
    assert (feedback.store(rows).loaded, feedback.store(rows).duplicate) == (0, 2)
    as_dict = [dict(zip([*FIELDS, "Risk"], row, strict=True)) for row in rows]
    assert feedback.store(as_dict, feedback_format=FeedbackFormat.DICT).duplicate == 2  # the same rows
    assert feedback.store(as_dict[:1], feedback_format=FeedbackFormat.DICT).loaded == 1  # another call
    text = "LoanPurpose;LoanDuration;Sex;Risk\ncar;3;M;Risk\n"
    csv = feedback.store(text, feedback_format=FeedbackFormat.CSV, data_header=True, data_delimiter=";")
    assert csv.loaded == 1
    assert feedback.get_records_count() == 4
    with pytest.raises(InvalidInput, match=r"'LoanDuration' is no integer in rows \[2\]"):
        feedback.store([rows[0], ["x", "car", "M", "Risk"]])
    assert feedback.get_records_count() == 4


def test_exported_yaml_loads_the_same_rows_from_logs(
    client: APIClient, empty_database: Connection, tmp_path: Path
) -> None:
    """What a DAG loads from the engine's logs is what the client stored: not one row is new."""
    subscription = subscribe(client)
    made = records()
    for i, record in enumerate(made):
        record.scoring_id = f"call-{i}"
    subscription.payload_logging.store(made)
    before = subscription.payload_logging.get_table_content("python")

    file = tmp_path / "credit.yaml"
    subscription.to_yaml(file)
    document = yaml.safe_load(file.read_text())
    document["logs"] = {"connection": "logs", "prefix": ""}
    file.write_text(yaml.safe_dump(document))
    (declared,) = load_subscriptions(file)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "scored.ndjson").write_bytes(encoded(made))
    folder = Connection("logs", "paylog_folder", extra={"path": str(logs)})
    use_resolver(lambda name: folder if name == "logs" else empty_database)
    try:
        prepare(declared)
        window = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1))
        (batch,) = plan(declared, window).batches
        counts = ingest(declared, batch, "run", window).counts
    finally:
        use_resolver(None)

    assert (counts.read, counts.loaded, counts.duplicate) == (40, 0, 40)
    assert subscription.payload_logging.get_table_content("python") == before
    again = client.data_mart.subscriptions.add(declared)
    assert again.payload_logging.get_records_count() == 40


def test_delete_asks_and_removes_only_what_paylog_made(client: APIClient, empty_database: Connection) -> None:
    subscription = subscribe(client)
    subscription.payload_logging.store(records())
    subscription.feedback_logging.store([[12, "car", "M", "Risk"]])
    query(empty_database, f'CREATE TABLE "{SCHEMA}".mine (a int)')
    with pytest.raises(ConfigurationError, match="force=True"):
        client.data_mart.delete()
    client.data_mart.delete(force=True)
    left = query(empty_database, "SELECT tablename FROM pg_tables WHERE schemaname = %s", SCHEMA)
    assert left == [("mine",)]


def test_sagemaker_asset_with_a_scalar_score(client: APIClient) -> None:
    binding = client.data_mart.bindings.add(
        "SageMaker",
        SageMakerMachineLearningInstance(
            {"access_key_id": "AK", "secret_access_key": "s", "region": "eu-west-1"}
        ),
    )
    subscription = client.data_mart.subscriptions.add(
        SageMakerMachineLearningAsset(
            source_uid="credit-endpoint",
            binding_uid=binding,
            problem_type="binary",
            input_data_type="structured",
            label_column="Risk",
            prediction_column="predicted_label",
            probability_column="score",
            feature_columns=["Age"],
        )
    )
    record = PayloadRecord(
        {"fields": ["Age"], "values": [[27], [30]]},
        {"fields": ["score", "predicted_label"], "values": [[0.75, 1], [0.25, 0]]},
        scoring_id="a",
        scoring_timestamp="2024-01-19T19:27:57Z",
    )
    assert subscription.payload_logging.store([record]).counts.loaded == 2
    content = subscription.payload_logging.get_table_content("python")
    column = content["fields"].index("probability")
    ages = content["fields"].index("Age")
    assert {row[ages]: row[column] for row in content["values"]} == {27: [0.25, 0.75], 30: [0.75, 0.25]}
