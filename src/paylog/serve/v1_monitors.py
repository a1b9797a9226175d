"""v1's own addresses for fairness, explainability and drift; quality has that of all configurations.

As ``ibm-ai-openscale`` 2.2.1 calls them (its utils/href_definitions.py and base_classes/configuration).
paylog computes no monitor: each is held against the rules and kept.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from paylog.client.monitors import CONFIGURATIONS
from paylog.client.subscription import SubscriptionClient
from paylog.serve import assets
from paylog.serve.answers import NotFoundError, answer
from paylog.serve.handler import Call
from paylog.serve.store import subscription
from paylog.subscription.monitors import Monitor

_NAMES = {"drift": CONFIGURATIONS[Monitor.DRIFT]}


def configuration_name(call: Call) -> str:
    """Of the configuration in the path; the client reads and disables drift under a name of its own."""
    name = call.path["name"]
    return _NAMES.get(name, name)


def enable_fairness(call: Call) -> Response:
    """The body's ``asset_id`` is the subscription's id."""
    body = _of_this_mart(call)
    target = subscription(call.client, str(body.get("asset_id")))
    parameters = dict(body.get("parameters") or {})
    if "distributions" in body:
        parameters["distributions"] = body["distributions"]
    return answer(_enabled(target, Monitor.FAIRNESS, {**body, "parameters": parameters}), 202)


def enable_explainability(call: Call) -> Response:
    """The body's ``model_id`` is the asset's id: all its subscriptions under the binding are meant."""
    body = _of_this_mart(call)
    binding, model = body.get("service_binding_id"), body.get("model_id")
    found = [
        a.subscription_id
        for a in call.client.mart.registry.assets()
        if (a.binding_id, a.asset.get("asset_id")) == (binding, model)
    ]
    if not found:
        raise NotFoundError(f"there is no subscription of asset {model!r} under binding {binding!r}")
    for uid in found:
        kept = _enabled(subscription(call.client, uid), Monitor.EXPLAINABILITY, body)
    return answer(kept)


def enable_drift(call: Call) -> Response:
    target = subscription(call.client, call.path["subscription"])
    return answer(_enabled(target, Monitor.DRIFT, {"parameters": call.members()}))


def _enabled(target: SubscriptionClient, monitor: Monitor, body: dict[str, Any]) -> dict[str, Any]:
    return assets.configure(target, CONFIGURATIONS[monitor], {**body, "enabled": True})


def _of_this_mart(call: Call) -> dict[str, Any]:
    body = call.json()
    if not isinstance(body, dict) or body.get("data_mart_id") != call.client.data_mart_id:
        raise NotFoundError(f"this server's data mart is {call.client.data_mart_id}")
    return body
