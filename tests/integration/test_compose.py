"""docker-compose.yml as a document: Docker is not needed to see what it would start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
COMPOSE = REPOSITORY / "docker-compose.yml"
AIRFLOW = {"api-server", "scheduler", "dag-processor", "triggerer", "worker"}
STORES = {"airflow-db", "data-mart", "redis", "object-store"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text()))


def test_it_has_celery_workers_two_databases_redis_and_an_object_store(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) >= AIRFLOW | STORES
    environment = services["worker"]["environment"]
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert "@airflow-db/" in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert "@data-mart:" in environment["AIRFLOW_CONN_PAYLOG_DATA_MART"]
    assert "http://object-store:" in environment["AIRFLOW_CONN_PAYLOG_LOGS"]
    assert services["worker"]["deploy"]["replicas"] == 2


def test_every_service_that_stays_has_a_health_check(compose: dict[str, Any]) -> None:
    lacking = [name for name in AIRFLOW | STORES if "test" not in compose["services"][name]["healthcheck"]]
    assert lacking == []


def test_services_wait_for_services_that_exist(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, condition in (service.get("depends_on") or {}).items():
            assert other in services, name
            healthy = condition["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in services[other], (name, other)


def test_every_named_volume_is_declared(compose: dict[str, Any]) -> None:
    mounted = {
        volume.split(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith(("./", "/"))
    }
    assert mounted == set(compose["volumes"])


def test_ports_are_on_loopback_and_no_password_has_a_default(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    text = COMPOSE.read_text()
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert required == used
    made = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)\b", (REPOSITORY / "Makefile").read_text()))
    assert required <= made, "make .env makes every one of them"
