"""The deployments that a custom engine lists, asked once when it is bound.

Source: the custom engine's specification (formats reference section 9): ``GET {url}/v1/deployments``.
Its credentials are used for that one call and not kept.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

import httpx

from paylog.connections import Connection
from paylog.errors import ConfigurationError
from paylog.transport import checked_url

log = logging.getLogger(__name__)
# It logs each address, and an engine's may hold credentials.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

_SECONDS = 5.0


class Discovered:
    """Deployments by binding, as long as the server runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resources: dict[str, list[dict[str, Any]]] = {}

    def remember(self, binding_uid: str, resources: list[dict[str, Any]]) -> None:
        """Keep what an engine listed."""
        with self._lock:
            self._resources[binding_uid] = resources

    def of(self, binding_uid: str) -> list[dict[str, Any]]:
        """What the engine of a binding listed; a new list."""
        with self._lock:
            return list(self._resources.get(binding_uid, ()))


def deployments(service_type: str, credentials: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an engine lists; nothing where it is no custom engine, or does not answer in time.

    :param credentials: it is not asked over http://, unless it is here or they hold ``allow_http``.
    """
    if service_type != "custom_machine_learning" or not credentials.get("url"):
        return []
    user, password = credentials.get("username"), credentials.get("password")
    auth = (str(user), str(password or "")) if user else None
    address = str(credentials["url"]).rstrip("/")
    if "://" not in address:
        address = f"https://{address}"
    try:
        address = checked_url(Connection("custom engine", service_type, extra=dict(credentials)), address)
        found = httpx.get(f"{address}/v1/deployments", auth=auth, timeout=_SECONDS)
        found.raise_for_status()
        resources = found.json()["resources"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        log.warning("the engine did not list its deployments: %s", type(error).__name__)
        return []
    except ConfigurationError as error:
        log.warning("the engine was not asked for its deployments: %s", error)
        return []
    entries = [r for r in resources if isinstance(r, dict) and {"metadata", "entity"} <= r.keys()]
    return [_complete(entry) for entry in entries]


def _complete(resource: dict[str, Any]) -> dict[str, Any]:
    """A deployment with what IBM's clients read of it, where an engine may leave it out."""
    entity, metadata = dict(resource["entity"]), dict(resource["metadata"])
    address = (entity.get("scoring_endpoint") or {}).get("url") or entity.get("scoring_url") or ""
    name = str(entity.get("name") or metadata.get("guid"))
    asset = {"asset_id": metadata.get("guid"), "name": name, "url": address, "asset_type": "model"}
    metadata = {"created_at": "1970-01-01T00:00:00Z", "url": address, **metadata}
    endpoint = {"scoring_endpoint": {"url": address}, "type": "online", "name": name, **entity}
    endpoint["asset"] = {**asset, **(entity.get("asset") or {})}
    return {"metadata": metadata, "entity": endpoint}
