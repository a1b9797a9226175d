"""Subscriptions as the REST APIs describe them: assets, their properties, configurations, records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from paylog.client import monitors
from paylog.client.data_mart import DataMartClient
from paylog.client.subscription import SubscriptionClient
from paylog.data_mart.feedback import feedback_table_name
from paylog.data_mart.record_page import Choice
from paylog.data_mart.registry import PAYLOAD_LOGGING
from paylog.errors import InvalidInput
from paylog.serve.handler import Call

MONITORS = {name: monitor for monitor, name in monitors.CONFIGURATIONS.items()}
"""Monitors that the rules judge, by the name of their configuration."""
# What follows must be a filter: a value may hold a semicolon.
_NEXT_FILTER = re.compile(r";(?=[^:;]+:(?:eq|[gl]te?|like|in|null|nonnull)(?:[:;]|$)|;|$)")
_SECRETS = ("connection", "credentials", "secret_id")


class _Posted(msgspec.Struct):
    subscription_id: str


_POSTED = msgspec.json.Decoder(_Posted)


def add(
    client: DataMartClient,
    uid: str,
    binding_uid: str,
    body: Mapping[str, Any],
    deployments: Sequence[Mapping[str, Any]],
) -> None:
    """Subscribe a deployment under an id that the caller chose; payload logging is on.

    :raises InvalidInput: no asset, or not exactly one deployment.
    """
    asset = body.get("asset")
    if not isinstance(asset, Mapping) or len(deployments) != 1:
        raise InvalidInput("a subscription needs an asset and exactly one deployment")
    deployment = dict(deployments[0])
    if not deployment.get("deployment_id"):
        raise InvalidInput("the deployment needs a deployment_id")
    properties = _without_secrets(body.get("asset_properties") or {})
    for name in ("problem_type", "input_data_type"):  # v2 has them on the asset
        if name in asset:
            properties.setdefault(name, asset[name])
    described = {"asset_type": "model", **asset}
    described["name"] = str(asset.get("name") or asset.get("asset_id"))
    deployment.setdefault("name", deployment["deployment_id"])
    registry = client.mart.registry
    registry.add_asset(uid, binding_uid, described, _defaults(properties), deployment)
    registry.configure(uid, PAYLOAD_LOGGING, {"enabled": True})


def patch(target: SubscriptionClient, operations: Any) -> None:
    """Apply a JSON patch to the asset's properties; only ``add`` and ``replace`` below them are known.

    :raises InvalidInput: another operation.
    """
    asset = target.asset
    if asset is None:
        raise InvalidInput("this subscription is declared in a file: change it there")
    properties = dict(asset.properties)
    for operation in operations if isinstance(operations, list) else [operations]:
        if not isinstance(operation, Mapping):
            raise InvalidInput("a patch is a list of JSON objects")
        path = str(operation.get("path", "")).strip("/").split("/")
        if operation.get("op") not in ("add", "replace") or path[0] != "asset_properties" or len(path) != 2:
            raise InvalidInput("a patch adds or replaces /asset_properties/<name>")
        properties |= _without_secrets({path[1]: operation.get("value")})
    target.client.mart.registry.describe(target.uid, _defaults(properties))


def configure(target: SubscriptionClient, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a configuration; answers it as it now is.

    :raises ConfigurationError: a monitor that the rules refuse, without an ``override_reason``; a change to
        what is declared in a file.
    """
    parameters = dict(body.get("parameters") or {})
    if body.get("enabled") and (monitor := MONITORS.get(name)) is not None:
        reason = body.get("override_reason") or parameters.pop("override_reason", None)
        monitors.enable(target, monitor, parameters, str(reason) if reason else None)
        return configuration(target, name)
    if target.asset is None and not (name == PAYLOAD_LOGGING and body.get("enabled")):
        raise InvalidInput("this subscription is declared in a file: change it there")
    kept = {"enabled": bool(body.get("enabled")), "parameters": parameters}
    target.client.mart.registry.configure(target.uid, name, kept)
    return configuration(target, name)


def configuration(target: SubscriptionClient, name: str) -> dict[str, Any]:
    """A configuration, with the tables that belong to it."""
    asset = target.asset
    known = asset.configurations.get(name, {}) if asset else {}
    parameters = dict(known.get("parameters") or {})
    if name == PAYLOAD_LOGGING:
        details = target.payload_logging.get_details()
        return {"enabled": details["enabled"], "parameters": parameters | details["parameters"]}
    if name == "quality_monitoring":
        table = f"{target.client.mart.schema}.{feedback_table_name(target.uid)}"
        parameters["feedback_data_reference"] = {"location": {"table_name": table}}
    override = {"override": known["override"]} if "override" in known else {}
    return {"enabled": bool(known.get("enabled")), "parameters": parameters, **override}


def as_deployments(client: DataMartClient, binding_uid: str) -> list[dict[str, Any]]:
    """Deployments that are subscribed already, as an engine would list them."""
    return [
        {
            "metadata": {"guid": a.deployment["deployment_id"], "created_at": a.created_at.isoformat()},
            "entity": {
                "name": a.deployment["name"],
                "type": "online",
                "scoring_endpoint": {"url": ""},
                "asset": {"asset_id": a.asset["asset_id"], "name": a.asset["name"], "url": ""},
            },
        }
        for a in client.mart.registry.assets()
        if a.binding_id == binding_uid
    ]


def by_subscription(records: Iterable[bytes]) -> dict[str, list[bytes]]:
    """v1's payload records by the subscription that each names.

    :raises InvalidInput: a record names none.
    """
    found: dict[str, list[bytes]] = {}
    for number, record in enumerate(records, 1):
        try:
            uid = _POSTED.decode(record).subscription_id
        except msgspec.MsgspecError:
            raise InvalidInput(f"record {number} is no payload record with a subscription_id") from None
        found.setdefault(uid, []).append(record)
    return found


def choice(call: Call, limit: int, offset: int) -> Choice:
    """The records that a query asks for."""
    query = call.query
    written = query.get("filter") or ""
    filters = tuple(part for part in _NEXT_FILTER.split(written) if part)
    return Choice(limit, offset, query.get("start"), query.get("end"), filters)


def _without_secrets(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Asset properties without the credentials of a training data reference."""
    kept = {name: value for name, value in properties.items() if value is not None}
    reference = kept.get("training_data_reference")
    if isinstance(reference, Mapping):
        kept["training_data_reference"] = {k: v for k, v in reference.items() if k not in _SECRETS}
    return kept


def _defaults(properties: dict[str, Any]) -> dict[str, Any]:
    """Properties with the names of the prediction in one place, however it was written (contract 1.4)."""
    found = properties.get("prediction_field") or properties.get("predicted_target_field")
    named = {**properties, "prediction_field": found or "prediction"}
    if isinstance(one := named.get("probability_fields"), str):
        named["probability_fields"] = [one]
    return named
