"""Asking a custom engine for its deployments: never with its credentials in the clear."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from paylog.serve import engine_discovery

ENGINE = "custom_machine_learning"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were asked; each lists one deployment."""
    found: list[str] = []

    def get(url: str, **_: Any) -> httpx.Response:
        found.append(url)
        resource = {"metadata": {"guid": "d-1"}, "entity": {}}
        return httpx.Response(200, json={"resources": [resource]}, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    return found


@pytest.mark.parametrize(
    ("credentials", "address"),
    [
        ({"url": "engine.example.com/"}, "https://engine.example.com/v1/deployments"),
        ({"url": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080/v1/deployments"),
        ({"url": "http://engine", "allow_http": True}, "http://engine/v1/deployments"),
    ],
)
def test_an_engine_is_asked(asked: list[str], credentials: dict[str, Any], address: str) -> None:
    assert len(engine_discovery.deployments(ENGINE, {**credentials, "username": "u", "password": "p"})) == 1
    assert asked == [address]


def test_an_engine_elsewhere_is_not_asked_over_http(
    asked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    credentials = {"url": "http://user:canary@engine", "username": "u", "password": "canary"}
    assert engine_discovery.deployments(ENGINE, credentials) == []
    assert asked == []
    assert "was not asked" in caplog.text
    assert "canary" not in caplog.text
