"""``paylog serve`` in a thread, and what is posted to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.testclient import TestClient

PROPERTIES = {
    "problem_type": "binary",
    "label_column": "Risk",
    "prediction_field": "prediction",
    "probability_fields": ["probability"],
    "feature_fields": ["Age", "Sex"],
}


@contextmanager
def serving(application: Any, **settings: Any) -> Iterator[str]:
    """An ASGI application on a free port of loopback; its address. ``settings``: more of uvicorn's."""
    config = uvicorn.Config(application, port=0, log_level="error", lifespan="off", **settings)
    server, listening = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    scheme = "https" if config.is_ssl else "http"
    try:
        yield f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def payload_data_set(http: TestClient) -> str:
    """The payload data set of a subscription."""
    http.post("/v2/data_marts", json={"name": "dm"})
    provider = http.post(
        "/v2/service_providers", json={"name": "c", "service_type": "custom_machine_learning"}
    )
    body = {
        "service_provider_id": provider.json()["metadata"]["id"],
        "asset": {"asset_id": "credit", "name": "credit"},
        "deployment": {"deployment_id": "credit-1"},
        "asset_properties": PROPERTIES,
    }
    uid = http.post("/v2/subscriptions", json=body).json()["metadata"]["id"]
    found = http.get("/v2/data_sets", params={"target.target_id": uid, "type": "payload_logging"}).json()
    return str(found["data_sets"][0]["metadata"]["id"])


def record(number: int, age: Any = 30) -> dict[str, Any]:
    return {
        "scoring_id": f"call-{number}",
        "scoring_timestamp": f"2024-01-19T19:27:{number:02}Z",
        "request": {"fields": ["Age", "Sex"], "values": [[age, "M"], [31, "F"]]},
        "response": {
            "fields": ["prediction", "probability"],
            "values": [["Risk", [0.2, 0.8]], ["No Risk", [0.7, 0.3]]],
        },
    }
