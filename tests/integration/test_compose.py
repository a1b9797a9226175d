"""docker-compose.yml as the real client reads it, which needs no Docker, and the container's entry point."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from paylog.errors import StopError
from paylog.subscription import load_subscriptions
from paylog.testing.compose_file import ComposeFile

REPOSITORY = Path(__file__).parents[2]
AIRFLOW = {"api-server", "scheduler", "dag-processor", "triggerer", "worker"}
STORES = {"airflow-db", "data-mart", "redis"}
JOBS = {"airflow-init", "data-mart-init"}
PROFILES = {"try": {"object-store"}, "serve": {"serve"}, "db2": {"db2"}}
SECRET_FILES = REPOSITORY / "deploy" / "secret-files.yml"


@pytest.fixture(scope="module")
def compose() -> ComposeFile:
    return ComposeFile(REPOSITORY / "docker-compose.yml", {})


@pytest.fixture(scope="module")
def services(compose: ComposeFile) -> dict[str, Any]:
    """Every service of every profile."""
    return dict(compose.document["services"])


def started(compose: ComposeFile, *profiles: str) -> set[str]:
    flags = [part for profile in profiles for part in ("--profile", profile)]
    return set(compose.client(*flags, "config", "--services").split())


def test_the_client_accepts_the_file_and_every_profile(compose: ComposeFile) -> None:
    usual = AIRFLOW | STORES | JOBS
    assert started(compose) == usual
    for profile, more in PROFILES.items():
        assert started(compose, profile) == usual | more
    assert started(compose, *PROFILES) == usual.union(*PROFILES.values())


def test_the_client_refuses_what_is_wrong(tmp_path: Path) -> None:
    text = (
        (REPOSITORY / "docker-compose.yml").read_text().replace("restart: unless-stopped", "restrat: never")
    )
    (tmp_path / "docker-compose.yml").write_text(text)
    with pytest.raises(StopError, match="restrat"):
        ComposeFile(tmp_path / "docker-compose.yml", {}).client("config", "--quiet")


def test_it_has_celery_workers_and_two_databases(compose: ComposeFile) -> None:
    environment = compose.environment_of("worker")
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert "@airflow-db:" in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert "@data-mart:" in environment["AIRFLOW_CONN_PAYLOG_DATA_MART"]
    slots = compose.replicas("worker") * int(environment["AIRFLOW__CELERY__WORKER_CONCURRENCY"])
    assert slots >= 4
    assert int(environment["AIRFLOW__CORE__PARALLELISM"]) == slots, (
        "else tasks wait in Redis, against a limit"
    )
    assert int(environment["AIRFLOW__PAYLOG__LOAD_SLOTS"]) <= slots


def test_every_service_that_stays_is_checked_limited_and_restarted(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name in JOBS:
            continue
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        assert int(service["mem_limit"]) > 0, name
        assert float(service["cpus"]) > 0, name


def test_health_checks_fetch_the_secrets_that_they_need(compose: ComposeFile) -> None:
    lines = {name: compose.health_check_of(name)[-1] for name in AIRFLOW}
    signing_in = {name: line for name, line in lines.items() if re.search(r"\b(airflow|celery) ", line)}
    assert set(signing_in) == {"dag-processor", "triggerer", "worker"}
    for name, line in signing_in.items():
        assert line.startswith("python /opt/paylog/deploy/entrypoint.py "), name


def test_the_images_own_script_gets_no_command_but_airflows_bash_and_python(
    compose: ComposeFile, services: dict[str, Any]
) -> None:
    ours = [name for name, service in services.items() if "build" in service]
    passed = {compose.command_of(n)[0] for n in ours if services[n]["entrypoint"][-1] == "/entrypoint"}
    assert passed == {"bash", "celery", *AIRFLOW} - {"worker"}
    assert compose.command_of("serve")[0] == "paylog"


def test_nothing_of_ours_runs_as_root_or_with_privileges(services: dict[str, Any]) -> None:
    for name in AIRFLOW | STORES | JOBS | {"serve"}:
        service = services[name]
        assert service.get("user") not in ("root", "0", "0:0"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert [name for name, service in services.items() if service.get("privileged")] == ["db2"]
    last_user = re.findall(r"^USER (\w+)", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)[-1]
    assert last_user == "airflow"


def test_images_are_pinned(services: dict[str, Any]) -> None:
    for service in services.values():
        assert "build" in service or re.search(r":[\w.-]*\d+\.\d+", service["image"])
    assert re.search(r"^FROM apache/airflow:3\.3\.\d+-python3\.\d+$", dockerfile(), re.MULTILINE)


def dockerfile() -> str:
    return (REPOSITORY / "Dockerfile").read_text()


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY --\S+ (.+) \S+$", dockerfile(), re.MULTILINE):
        for source in line.split():
            assert (REPOSITORY / source).exists(), source
            assert f"!{source.split('/')[0]}" in ignored, source


def test_services_wait_for_services_that_exist(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for other, condition in service.get("depends_on", {}).items():
            assert other in services, name
            healthy = condition["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in services[other], (name, other)


def test_what_is_kept_is_in_named_volumes(compose: ComposeFile, services: dict[str, Any]) -> None:
    for name in ("airflow-db", "data-mart", "redis", "object-store", "db2"):
        assert [volume["type"] for volume in services[name]["volumes"]] == ["volume"], name
    mounted = {v["source"] for s in services.values() for v in s.get("volumes", []) if v["type"] == "volume"}
    assert mounted == set(compose.document["volumes"])


def test_ports_are_on_loopback(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) >= 4
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_no_secret_is_in_the_file_or_has_a_default(compose: ComposeFile, services: dict[str, Any]) -> None:
    text = json.dumps(services)
    named = set(re.findall(r"\{secret:(\w+)\}", text)) | set(re.findall(r"/run/secrets/(\w+)", text))
    assert named == set(compose.document["secrets"])
    for name, service in services.items():
        used = set(re.findall(r"\{secret:(\w+)\}|/run/secrets/(\w+)", json.dumps(service)))
        given = {secret["source"] for secret in service.get("secrets", [])}
        assert {one or other for one, other in used} <= given, name
    assert re.findall(r"(?<!secret)(?:password|secret|key): [\"']?\w", text, re.IGNORECASE) == []


def test_each_service_has_the_data_marts_roles_that_it_needs(services: dict[str, Any]) -> None:
    text = {name: json.dumps(service) for name, service in services.items()}
    with_role = {
        role: {name for name, found in text.items() if f"//{role}:{{secret:{secret}}}@" in found}
        for role, secret in (
            ("paylog", "data_mart_password"),
            ("paylog_owner", "data_mart_owner_password"),
            ("paylog_load", "data_mart_load_password"),
            ("paylog_read", "data_mart_read_password"),
        )
    }
    everywhere = AIRFLOW | JOBS
    assert with_role == {
        "paylog": {"data-mart-init"},
        "paylog_owner": {"data-mart-init", "worker", "serve"},
        "paylog_load": everywhere,
        "paylog_read": everywhere,
    }


def test_the_shipped_subscriptions_name_the_roles_that_the_file_makes(compose: ComposeFile) -> None:
    given = compose.environment_of("data-mart-init")
    for subscription in load_subscriptions(REPOSITORY / "subscriptions"):
        mart = subscription.data_mart
        for name, role in (
            (mart.owner_connection, "paylog_owner"),
            (mart.connection, "paylog_load"),
            (mart.read_connection, "paylog_read"),
        ):
            assert f"//{role}:" in given[f"AIRFLOW_CONN_{name}".upper()], subscription.id


def test_make_env_makes_every_secret_of_the_environment(compose: ComposeFile) -> None:
    wanted = {s["environment"] for s in compose.document["secrets"].values() if "environment" in s}
    made = set(re.findall(r"\b([A-Z0-9]+(?:_[A-Z]+)+)\b", (REPOSITORY / "Makefile").read_text()))
    assert len(wanted) > 8
    assert wanted | {"DB2_PASSWORD"} <= made


def test_secrets_may_all_come_from_files(compose: ComposeFile) -> None:
    answer = compose.client("--profile", "*", "config", "--format", "json", more_files=[SECRET_FILES])
    secrets = json.loads(answer)["secrets"]
    assert set(secrets) == set(compose.document["secrets"])
    for name, secret in secrets.items():
        assert "environment" not in secret
        assert Path(secret["file"]).parent.name == "secrets", name


def entered(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A Python that prints its environment, started by the entry point."""
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "deploy" / "entrypoint.py"), sys.executable, "-c", program],
        env={**os.environ, "SECRETS_FOLDER": str(tmp_path), **variables},
        capture_output=True,
        text=True,
    )


def test_the_entry_point_puts_secrets_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "one").write_text('p@ss/w"o:rd\n')
    done = entered(
        tmp_path,
        PLAIN="{secret:one}",
        URL="postgres://me:{secret:one}@db/x",
        JSON='{"password": "{secret:one}"}',
    )
    environment = json.loads(done.stdout)
    assert environment["PLAIN"] == 'p@ss/w"o:rd'
    assert environment["URL"] == "postgres://me:p%40ss%2Fw%22o%3Ard@db/x"
    assert json.loads(environment["JSON"]) == {"password": 'p@ss/w"o:rd'}


def test_the_entry_point_stops_without_a_secret(tmp_path: Path) -> None:
    done = entered(tmp_path, PLAIN="{secret:absent}")
    assert done.returncode != 0
    assert "absent" in done.stderr


def test_the_helm_values_name_what_the_compose_file_has(compose: ComposeFile) -> None:
    values = yaml.safe_load((REPOSITORY / "deploy" / "helm-values.yaml").read_text())
    assert values["executor"] == "KubernetesExecutor"
    assert f"apache/airflow:{values['airflowVersion']}-" in dockerfile()
    known = compose.environment_of("worker")
    variables = {variable["name"]: variable["value"] for variable in values["env"]}
    # What libpq reads is for servers elsewhere; those of the compose file are in its own network.
    assert {name for name in variables if not name.startswith("PGSSL")} <= set(known)
    assert variables["PGSSLMODE"] == "verify-full"
    assert {secret["envName"] for secret in values["secret"]} <= set(known)
    assert values["securityContexts"]["pod"]["runAsNonRoot"] is True
    # Chart 1.22 calls everything else under workers deprecated, chart 2.0 refuses it.
    assert set(values["workers"]) <= {"celery", "kubernetes"}
    # The chart's own first user has the password "admin".
    assert values["createUserJob"]["enabled"] is False
    assert "password" not in str(values).lower()
