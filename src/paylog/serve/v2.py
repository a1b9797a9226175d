"""OpenScale's v2 REST API, as ``ibm-watson-openscale`` 3.1.11 calls it (contract section 2)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from paylog.client.monitors import CONFIGURATIONS
from paylog.client.payload_logging import struct_of
from paylog.client.subscription import SubscriptionClient, declared
from paylog.data_mart.record_page import MOST_ROWS
from paylog.data_mart.registry import ServiceBinding, SubscribedAsset
from paylog.errors import InvalidInput
from paylog.serve import assets, bodies
from paylog.serve.answers import NotFoundError, answer, metadata
from paylog.serve.data_sets import FEEDBACK, PAYLOAD, data_set_id
from paylog.serve.handler import Call, handler
from paylog.serve.store import ACTIVE, Stored, request_status, store_payload, subscription

_MONITORS = ("performance", "quality", "fairness", "explainability", "drift", "model_health", "mrm")
_ACTIVE = {"status": {"state": "active"}}


async def heartbeat(request: Request) -> Response:
    return answer({"is_cloud": True})


def get_monitor_definitions(call: Call) -> Response:
    found = [
        {
            "metadata": metadata(name, f"/v2/monitor_definitions/{name}"),
            "entity": {"name": name, "metrics": [{"id": name, "name": name}], "tags": [], "applies_to": {}},
        }
        for name in _MONITORS
    ]
    return answer({"monitor_definitions": found})


def add_data_mart(call: Call) -> Response:
    """Set up the data mart that this server was started for; another one cannot be chosen from outside."""
    location = (call.members().get("database_configuration") or {}).get("location") or {}
    if location.get("schema_name") not in (None, call.client.mart.schema):
        raise InvalidInput(f"this server's data mart is in schema {call.client.mart.schema!r}")
    call.client.set_up()
    return answer(_data_mart(call), 202)


def get_data_marts(call: Call) -> Response:
    mart = call.client.mart
    known = mart.is_set_up() and mart.registry.data_mart() is not None
    return answer({"data_marts": [_data_mart(call)] if known else []})


def get_data_mart(call: Call) -> Response:
    return answer(_data_mart(call))


def delete_data_mart(call: Call) -> Response:
    call.client.delete(force=call.query.get("force", "true") == "true")
    return answer(None, 202)


def add_service_provider(call: Call) -> Response:
    body = call.members()
    service_type, name = str(body.get("service_type") or ""), str(body.get("name") or "")
    if not service_type or not name:
        raise InvalidInput("a service provider needs name and service_type")
    uid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"paylog:provider/{service_type}/{name}"))
    call.client.mart.registry.add_binding(uid, name, service_type, uid)
    return answer(_provider(_bound(call, uid)), 202)


def get_service_providers(call: Call) -> Response:
    wanted = call.query.get("service_type")
    found = [b for b in call.client.mart.registry.bindings() if wanted in (None, b.service_type)]
    return answer({"service_providers": [_provider(b) for b in found]})


def get_service_provider(call: Call) -> Response:
    return answer(_provider(_bound(call, call.path["provider"])))


def delete_service_provider(call: Call) -> Response:
    call.client.bindings.delete(call.path["provider"])
    return answer(None, 202)


def add_subscription(call: Call) -> Response:
    body = call.members()
    provider, deployment = str(body.get("service_provider_id")), body.get("deployment")
    seed = f"{provider}/{(body.get('asset') or {}).get('asset_id')}/{(deployment or {}).get('deployment_id')}"
    uid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"paylog:subscription/v2/{seed}"))
    assets.add(call.client, uid, provider, body, [deployment] if deployment else [])
    return answer(_subscription(call, uid), 202)


def get_subscriptions(call: Call) -> Response:
    found = [_subscribed(call, asset) for asset in call.client.mart.registry.assets()]
    return answer({"subscriptions": found})


def get_subscription(call: Call) -> Response:
    return answer(_subscription(call, call.path["subscription"]))


def patch_subscription(call: Call) -> Response:
    assets.patch(subscription(call.client, call.path["subscription"]), call.json())
    return answer(_subscription(call, call.path["subscription"]))


def delete_subscription(call: Call) -> Response:
    call.client.subscriptions.delete(call.path["subscription"])
    return answer(None, 202)


def add_monitor_instance(call: Call) -> Response:
    """Kept as a configuration of the subscription, if the rules allow it. paylog computes no monitor."""
    body = call.members()
    name, target = str(body.get("monitor_definition_id")), str((body.get("target") or {}).get("target_id"))
    known = {monitor.value: kept for monitor, kept in CONFIGURATIONS.items()}
    wanted = subscription(call.client, target)
    kept = assets.configure(wanted, known.get(name, name), {**body, "enabled": True})
    uid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"paylog:monitor/{target}/{name}"))
    entity = {"data_mart_id": call.client.data_mart_id, "parameters": {}, **body, **_ACTIVE}
    entity |= {"override": kept["override"]} if "override" in kept else {}
    return answer({"metadata": metadata(uid, f"/v2/monitor_instances/{uid}"), "entity": entity}, 202)


def get_data_sets(call: Call) -> Response:
    target, kind = call.query.get("target.target_id"), call.query.get("type")
    registry = call.client.mart.registry
    documents = registry.documents() if target is None else {target: registry.document(target)}
    found = [
        _data_set(call, one, name, documents.get(one))
        for one in registry.subscription_ids()
        for name in (PAYLOAD, FEEDBACK)
        if target in (None, one) and kind in (None, name)
    ]
    return answer({"data_sets": found})


def get_data_set(call: Call) -> Response:
    uid, kind = _named(call)
    return answer(_data_set(call, uid, kind, call.client.mart.registry.document(uid)))


def store_records(call: Call) -> Response:
    uid, kind = _owner(call)
    if kind == FEEDBACK:
        return _taken(call, Stored(_store_feedback(call, subscription(call.client, uid)), ACTIVE))
    if "csv" in call.content_type:
        rows = _csv(call, subscription(call.client, uid))
        return _taken(call, store_payload(call, uid, [msgspec.json.encode(row) for row in rows]))
    return _taken(call, store_payload(call, uid, bodies.records(call.body)))


def get_request(call: Call) -> Response:
    uid, kind = _named(call)
    if kind == FEEDBACK:
        return answer({"id": call.path["request"], "state": "active"})
    return answer(request_status(call.client, uid, call.path["request"]))


def get_records(call: Call) -> Response:
    uid, kind = _named(call)
    count = call.query.get("include_total_count") == "true"
    if kind == FEEDBACK:
        return _feedback_records(call, subscription(call.client, uid), count=count)
    chosen = assets.choice(call, call.number("limit", 100), call.number("offset", 0))
    page = call.client.mart.payload.page(uid, chosen, count=count)
    total = {"total_count": page.total} if count else {}
    if call.query.get("format") == "list":
        values = [row[:-1] for row in page.rows]
        return answer({"records": [{"fields": page.fields, "values": values}], **total})
    records = [
        {
            "metadata": metadata(str(row[-1]), f"/v2/data_sets/{call.path['data_set']}/records/{row[-1]}"),
            "entity": {"values": dict(zip(page.fields, row, strict=False)), "annotations": {}},
        }
        for row in page.rows
    ]
    return answer({"records": records, **total})


def _feedback_records(call: Call, target: SubscriptionClient, *, count: bool) -> Response:
    if call.client.mart.registry.document(target.uid) is None:
        return answer({"records": [], **({"total_count": 0} if count else {})})
    feedback = target.feedback_logging
    start, most = call.number("offset", 0), min(call.number("limit", 100), MOST_ROWS)
    content = feedback.get_table_content("python", most, start)
    assert isinstance(content, dict)
    fields, rows = content["fields"], content["values"]
    records = [
        {
            "metadata": metadata(f"{target.uid}-{start + i}", ""),
            "entity": {"values": dict(zip(fields, row, strict=True)), "annotations": {}},
        }
        for i, row in enumerate(rows)
    ]
    return answer({"records": records, **({"total_count": feedback.get_records_count()} if count else {})})


def _store_feedback(call: Call, target: SubscriptionClient) -> str:
    if "csv" in call.content_type:
        rows: Any = list(_csv(call, target))
        target.feedback_logging.store(rows, feedback_format="dict")
    else:
        parts = call.json()
        if not isinstance(parts, list):
            raise InvalidInput("the body is not a JSON array of feedback records")
        for part in parts:
            if isinstance(part, dict) and {"fields", "values"} <= part.keys():
                target.feedback_logging.store(part["values"], fields=part["fields"])
            else:
                target.feedback_logging.store([part], feedback_format="dict")
    return uuid.uuid4().hex


def _csv(call: Call, target: SubscriptionClient) -> Any:
    query = call.query
    document = call.client.mart.registry.document(target.uid)
    names = [f.name for f in declared(document).model_schema.fields] if document else []
    limit = query.get("limit")
    return bodies.csv_rows(
        call.body,
        header=query.get("header") != "false",
        delimiter=query.get("delimiter", ","),
        names=names,
        skip=call.number("skip", 0),
        limit=int(limit) if limit and limit.isdigit() else None,
    )


def _taken(call: Call, stored: Stored) -> Response:
    """What is stored is told at once, so that nobody need ask for the request's state."""
    location = f"/v2/data_sets/{call.path['data_set']}/requests/{stored.request_id}"
    count = {} if stored.count is None else {"records_count": stored.count}
    return answer({"state": stored.state, **count}, 202, {"Location": location})


def _named(call: Call) -> tuple[str, str]:
    """Subscription and kind of the data set in the path. Raises ``NotFoundError``."""
    uid, kind = _owner(call)
    if call.client.mart.registry.receiving(uid) is None:  # deleted since
        raise NotFoundError(f"there is no data set {call.path['data_set']!r}")
    return uid, kind


def _owner(call: Call) -> tuple[str, str]:
    return call.data_sets.owner(call.path["data_set"], call.client.mart.registry.subscription_ids)


def _data_set(call: Call, uid: str, kind: str, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """:param document: of the subscription, None before it has a payload table."""
    client, data_set = call.client, data_set_id(uid, kind)
    empty = {"type": "struct", "fields": []}
    schema = struct_of(declared(document).model_schema) if document else empty
    table = f"{'Payload' if kind == PAYLOAD else 'Feedback'}_{uid}"
    entity = {
        "data_mart_id": client.data_mart_id,
        "name": kind,
        "type": kind,
        "schema_update_mode": "none",
        "target": {"target_type": "subscription", "target_id": uid},
        "managed_by": "system",
        "location": {"table_name": f"{client.mart.schema}.{table}"},
        "data_schema": schema,
        **_ACTIVE,
    }
    return {"metadata": metadata(data_set, f"/v2/data_sets/{data_set}"), "entity": entity}


def _data_mart(call: Call) -> dict[str, Any]:
    client = call.client
    if not client.mart.is_set_up() or (registered := client.mart.registry.data_mart()) is None:
        raise NotFoundError("there is no data mart yet")
    configuration = {
        "database_type": "postgresql",
        "credentials": {"secret_id": "connection"},
        "location": {"schema_name": client.mart.schema},
    }
    entity = {"name": registered.name, "database_configuration": configuration, **_ACTIVE}
    uid = registered.data_mart_id
    return {"metadata": metadata(uid, f"/v2/data_marts/{uid}", registered.created_at), "entity": entity}


def _bound(call: Call, uid: str) -> ServiceBinding:
    found = [b for b in call.client.mart.registry.bindings() if b.binding_id == uid]
    if not found:
        raise NotFoundError(f"there is no service provider {uid!r}")
    return found[0]


def _provider(binding: ServiceBinding) -> dict[str, Any]:
    uid = binding.binding_id
    entity = {
        "name": binding.name,
        "service_type": binding.service_type,
        "credentials": {"secret_id": "connection"},
        "operational_space_id": "production",
        **_ACTIVE,
    }
    return {"metadata": metadata(uid, f"/v2/service_providers/{uid}", binding.created_at), "entity": entity}


def _subscription(call: Call, uid: str) -> dict[str, Any]:
    asset = subscription(call.client, uid).asset
    if asset is None:
        raise NotFoundError(f"subscription {uid!r} is declared in a file")
    return _subscribed(call, asset)


def _subscribed(call: Call, asset: SubscribedAsset) -> dict[str, Any]:
    uid = asset.subscription_id
    entity = {
        "data_mart_id": call.client.data_mart_id,
        "service_provider_id": asset.binding_id,
        "asset": asset.asset,
        "asset_properties": asset.properties,
        "deployment": asset.deployment,
        **_ACTIVE,
    }
    return {"metadata": metadata(uid, f"/v2/subscriptions/{uid}", asset.created_at), "entity": entity}


_calls = [
    Route(path, handler(function), methods=[method])
    for path, method, function in (
        ("/v2/monitor_definitions", "GET", get_monitor_definitions),
        ("/v2/data_marts", "POST", add_data_mart),
        ("/v2/data_marts", "GET", get_data_marts),
        ("/v2/data_marts/{mart}", "GET", get_data_mart),
        ("/v2/data_marts/{mart}", "DELETE", delete_data_mart),
        ("/v2/service_providers", "POST", add_service_provider),
        ("/v2/service_providers", "GET", get_service_providers),
        ("/v2/service_providers/{provider}", "GET", get_service_provider),
        ("/v2/service_providers/{provider}", "DELETE", delete_service_provider),
        ("/v2/subscriptions", "POST", add_subscription),
        ("/v2/subscriptions", "GET", get_subscriptions),
        ("/v2/subscriptions/{subscription}", "GET", get_subscription),
        ("/v2/subscriptions/{subscription}", "PATCH", patch_subscription),
        ("/v2/subscriptions/{subscription}", "DELETE", delete_subscription),
        ("/v2/monitor_instances", "POST", add_monitor_instance),
        ("/v2/data_sets", "GET", get_data_sets),
        ("/v2/data_sets/{data_set}", "GET", get_data_set),
        ("/v2/data_sets/{data_set}/records", "POST", store_records),
        ("/v2/data_sets/{data_set}/records", "GET", get_records),
        ("/v2/data_sets/{data_set}/requests/{request}", "GET", get_request),
    )
]
routes = [
    Route("/v2/fairness/heartbeat", heartbeat, methods=["GET"]),
    *_calls,
    Mount("/openscale/{instance}", routes=_calls),
]
