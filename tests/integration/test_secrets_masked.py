"""Airflow's secrets masker knows every secret of a connection that paylog has resolved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

# In a process of its own: the masker is one for the process.
_PROGRAM = """
import json, os, sys
from paylog.airflow.connections import airflow_connection
from airflow.sdk._shared.secrets_masker import redact

for conn_id in json.loads(sys.argv[1]):
    airflow_connection(conn_id)
print("ANSWER" + json.dumps([redact(f"lost: {secret} while loading") for secret in json.loads(sys.argv[2])]))
"""

CONNECTIONS: dict[str, dict[str, Any]] = {
    "mart": {
        "conn_type": "postgres", "host": "db", "login": "loader", "password": "pw-of-mart",
        "extra": {"sslpassword": "pw-of-key", "sslmode": "verify-full"},
    },
    "logs": {
        "conn_type": "ibm_cos", "login": "hmac-id", "password": "hmac-secret",
        "extra": {"api_key": "cos-api-key", "endpoint_url": "https://cos.example.com"},
    },
    "service": {
        "conn_type": "paylog_openscale", "host": "https://service.example.com",
        "extra": {"apikey": "service-api-key", "token": "bearer-token"},
    },
    "db2": {
        "conn_type": "ibm_db2",
        "extra": {
            "uri": "db2://user:pw%2Dof%2Duri@db2.example.com:50001/BLUDB",
            "ssldsn": "DATABASE=BLUDB;HOSTNAME=db2;UID=u;PWD=pw-of-dsn;Security=SSL;",
            "connection": {"db2": {"composed": ["db2://user:pw-of-composed@db2:50001/bludb?ssl=true"]}},
        },
    },
    "blobs": {
        "conn_type": "wasb",
        "extra": {
            "connection_string": "BlobEndpoint=https://a.example.com;AccountName=a;AccountKey=account-key==",
            "sas_token": "https://a.example.com/?sv=1&sig=signature-of-sas",
        },
    },
}  # fmt: skip
SECRETS = (
    "pw-of-mart", "pw-of-key", "hmac-secret", "cos-api-key", "service-api-key", "bearer-token",
    "pw%2Dof%2Duri", "pw-of-uri", "pw-of-dsn", "pw-of-composed", "account-key==", "signature-of-sas",
)  # fmt: skip
OPEN = ("verify-full", "https://cos.example.com", "BLUDB")


def test_no_secret_of_a_connection_gets_into_a_log() -> None:
    environment = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in CONNECTIONS.items()}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(list(CONNECTIONS)), json.dumps([*SECRETS, *OPEN])],
        env={**os.environ, **environment, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answers, done.stderr[-2000:]
    said = json.loads(answers[0].removeprefix("ANSWER"))
    assert said[: len(SECRETS)] == ["lost: *** while loading"] * len(SECRETS)
    assert said[len(SECRETS) :] == [f"lost: {text} while loading" for text in OPEN]
