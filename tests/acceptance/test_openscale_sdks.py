"""IBM's own SDKs, each in an environment of its own, drive a real ``paylog serve``.

Set-up, details, binding, subscription, payload logging, store, count, read back, delete; and the rows are
those that a run loads from the same records in a log.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from openscale_service import listening

from paylog.connections import Connection, parse, use_resolver
from paylog.data_mart import DataMart
from paylog.layout import Window
from paylog.pipeline import ingest, plan, prepare
from paylog.subscription import Subscription
from paylog.testing.postgres import FAST_UNSAFE, EmbeddedPostgres

HERE = Path(__file__).parent / "ibm_sdks"
ENVIRONMENTS = Path(__file__).parents[2] / ".build" / "ibm_sdks"
REQUIREMENTS = {
    "v1": ["ibm-ai-openscale==2.2.1", "setuptools<82"],
    "v2": ["ibm-watson-openscale==3.1.11"],
}
INSTANCE = "11111111-2222-3333-4444-555555555555"
API_KEY = "an-api-key-for-tests-only"
SCHEMA = "ext_payloads"
RECORDS = [
    {
        "request": {"fields": ["Age", "Sex"], "values": [[20 + i, "M"], [30 + i, "é"]]},
        "response": {
            "fields": ["prediction", "probability"],
            "values": [["Risk", [0.2, 0.8]], ["No Risk", [0.7, 0.3]]],
        },
        "scoring_id": f"call-{i}",
        "scoring_timestamp": f"2024-01-19T19:27:{i:02}.250Z",
        "response_time": i,
    }
    for i in range(40)
]
TRAINING_DATA = {
    "type": "cos",
    "name": "training",
    "connection": {"url": "https://u", "api_key": "k", "resource_instance_id": "r", "iam_url": "https://i"},
    "location": {"bucket": "b", "file_name": "t.csv", "file_format": "csv", "infer_schema": "1"},
}
CSV = "scoring_id,scoring_timestamp,Age,Sex,prediction,probability\n" + "".join(
    f'row-{i},2024-01-19T20:00:{i:02}Z,{40 + i},F,Risk,"[0.2,0.8]"\n' for i in range(5)
)


class Engine(BaseHTTPRequestHandler):
    """A custom engine that lists its deployments, as little as its specification asks for."""

    def do_GET(self) -> None:
        asset = {"asset_id": "credit", "name": "credit", "url": "", "created_at": "2019-01-01T10:11:12Z"}
        entity = {"name": "credit", "scoring_url": "http://127.0.0.1/score", "asset": asset}
        metadata = {"guid": "credit-deployment", "created_at": "2019-01-01T10:11:12Z"}
        body = json.dumps({"count": 1, "resources": [{"metadata": metadata, "entity": entity}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(port=0, settings=FAST_UNSAFE) as server:
        yield server


@pytest.fixture
def uri(postgres: EmbeddedPostgres, version: str) -> str:
    """A database of its own."""
    postgres.create_database(f"sdk_{version}")
    return postgres.url(f"sdk_{version}", "postgres")


@pytest.fixture
def database(uri: str) -> Connection:
    return parse("data_mart", uri)


def python_with(version: str) -> Path:
    """The interpreter of an environment with that SDK; made once."""
    folder = ENVIRONMENTS / version
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        if Path(uv).exists():
            commands = [
                [uv, "venv", "-q", str(folder)],
                [uv, "pip", "install", "-q", "--python", str(python)],
            ]
        else:
            commands = [
                [sys.executable, "-m", "venv", str(folder)],
                [str(python), "-m", "pip", "install", "-q"],
            ]
        subprocess.run(commands[0], check=True)
        subprocess.run([*commands[1], *REQUIREMENTS[version]], check=True)
        (folder / "ready").touch()
    return python


@pytest.fixture
def served(uri: str, tmp_path: Path) -> Iterator[str]:
    """Address of a real ``paylog serve`` process."""
    log = tmp_path / "serve.log"
    environment = os.environ | {"AIRFLOW_CONN_DATA_MART": uri, "PAYLOG_SERVE_API_KEY": API_KEY}
    command = [str(Path(sys.executable).parent / "paylog"), "serve", "--connection", "data_mart"]
    command += ["--schema", SCHEMA, "--instance", INSTANCE, "--port", "0"]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stderr=output, stdout=output)
    try:
        yield listening(log, process)
    finally:
        process.terminate()
        process.wait(20)


def drive(version: str, phase: str, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    file = folder / f"{phase}.json"
    file.write_text(json.dumps(settings))
    done = subprocess.run(
        [str(python_with(version)), str(HERE / f"drive_{version}.py"), phase, str(file)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def rows(database: Connection, schema: str, subscription: str) -> list[tuple[Any, ...]]:
    """Everything but paylog's own numbering of objects."""
    with DataMart(database, schema) as mart:
        frame = mart.payload.frame(subscription)
    return sorted(map(repr, frame.itertuples(index=False, name=None)))  # type: ignore[return-value]


def from_a_log(
    database: Connection, subscription: str, lines: list[dict[str, Any]], folder: Path
) -> list[Any]:
    """The rows that a run loads from the same records."""
    with DataMart(database, SCHEMA) as mart:
        document = mart.registry.documents()[subscription]
    document["data_mart"] = {"connection": "data_mart", "schema": "from_a_log"}
    document["logs"] = {"connection": "logs"}
    declared = Subscription.model_validate(document)
    (folder / "logs").mkdir()
    (folder / "logs" / "scored.ndjson").write_text("\n".join(map(json.dumps, lines)))
    logs = Connection("logs", "paylog_folder", extra={"path": str(folder / "logs")})
    use_resolver(lambda name: logs if name == "logs" else database)
    try:
        prepare(declared)
        window = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1))
        (batch,) = plan(declared, window).batches
        ingest(declared, batch, "run", window)
    finally:
        use_resolver(None)
    return rows(database, "from_a_log", subscription)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_sdk_drives_paylog_serve(
    version: str, served: str, engine: str, database: Connection, tmp_path: Path
) -> None:
    settings = {
        "credentials": {"instance_guid": INSTANCE, "url": served, "apikey": API_KEY},
        "db_credentials": {"uri": f"postgres://u:p@127.0.0.1:1/{database.schema}"},
        "engine": engine,
        "schema": SCHEMA,
        "records": RECORDS,
        "csv": CSV,
        "training_data": TRAINING_DATA,
    }
    lines: list[dict[str, Any]] = list(RECORDS)
    if version == "v2":
        lines += [
            {
                "scoring_id": f"row-{i}",
                "scoring_timestamp": f"2024-01-19T20:00:{i:02}Z",
                "Age": 40 + i,
                "Sex": "F",
                "prediction": "Risk",
                "probability": [0.2, 0.8],
            }
            for i in range(5)
        ]
    expected = 80 if version == "v1" else 85

    stored = drive(version, "store", settings, tmp_path)
    assert (stored["count"], stored["read"]) == (expected, expected)
    if version == "v2":
        assert stored["filtered"] == 17 + 27 + 2  # over 42: of the first rows, the second ones, the CSV's
    else:
        monitors = stored["monitors"]
        assert monitors["fairness"]["enabled"], monitors["fairness"]
        assert monitors["fairness"]["parameters"]["features"][0]["feature"] == "Sex"
        assert monitors["quality"]["parameters"]["min_feedback_data_size"] == 5
        assert monitors["explainability"]["parameters"] == {
            "training_statistics": {"feature_columns": ["Age", "Sex"]}
        }
        assert monitors["drift"]["parameters"] == {"drift_threshold": 0.7, "min_samples": 100}
        assert monitors["drift disabled"]
    loaded = rows(database, SCHEMA, stored["subscription"])
    assert len(loaded) == expected
    assert loaded == from_a_log(database, stored["subscription"], lines, tmp_path)

    assert drive(version, "delete", settings | stored, tmp_path)["deleted"]
    with DataMart(database, SCHEMA) as mart:
        assert not mart.is_set_up()
