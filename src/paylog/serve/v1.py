"""OpenScale's v1 REST API, as ``ibm-ai-openscale`` 2.2.1 calls it (contract section 1)."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paylog.client.subscription import SubscriptionClient
from paylog.errors import InvalidInput
from paylog.serve import assets, bodies, engine_discovery, v1_monitors
from paylog.serve.answers import AlreadyDefinedError, NotFoundError, answer, problem
from paylog.serve.handler import Call, guarded, handler
from paylog.serve.store import ACTIVE, ERROR, store_payload, subscription
from paylog.serve.tokens import Tokens

MART = "/v1/data_marts/{mart}"
BINDING = MART + "/service_bindings/{binding}"
SUBSCRIPTION = BINDING + "/subscriptions/{subscription}"
# Who sends it has no token yet.
_MOST_SIGN_IN = 16 * 1024


async def token(request: Request) -> Response:
    """``/v1/preauth/validateAuth``: the API key as a form field, or as the password of HTTP Basic."""
    tokens: Tokens = request.app.state.tokens
    if request.method == "POST":
        form = parse_qs((await bodies.read(request, _MOST_SIGN_IN)).decode("latin-1"))
        key = form.get("apikey", [""])[0]
    else:
        key = _basic_password(request.headers.get("authorization", ""))
    if not tokens.is_key(key):
        return problem(401, "AISCS0401E", "the API key is not known here")
    issued, ends = tokens.issue()
    return answer({"access_token": issued, "accessToken": issued, "token_type": "Bearer", "expiration": ends})


def _basic_password(authorization: str) -> str:
    try:
        text = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return text.partition(":")[2]


def put_data_mart(call: Call) -> Response:
    """Set up the data mart that this server was started for; another one cannot be chosen from outside."""
    wanted = (call.members().get("database_configuration") or {}).get("location") or {}
    mart = call.client.mart
    defined = mart.is_set_up() and mart.registry.data_mart() is not None
    if wanted.get("schema") not in (None, mart.schema):
        raise InvalidInput(f"this server's data mart is in schema {mart.schema!r}")
    if defined and "force" not in call.query:
        raise AlreadyDefinedError("Data Mart with this id is already defined")
    call.client.set_up()
    return answer({})


def get_data_mart(call: Call) -> Response:
    mart = call.client.mart
    if not mart.is_set_up() or mart.registry.data_mart() is None:
        raise NotFoundError("AIQCS0005W: there is no data mart yet")
    return answer(call.client.get_details())


def delete_data_mart(call: Call) -> Response:
    call.client.delete(force=call.query.get("force") == "true")
    return answer({}, 202)


def add_binding(call: Call) -> Response:
    body = call.members()
    uid = str(body.get("instance_id") or "")
    service_type, name = str(body.get("service_type") or ""), str(body.get("name") or "")
    if not uid or not service_type:
        raise InvalidInput("a service binding needs name, service_type and instance_id")
    if not call.client.mart.registry.add_binding(uid, name, service_type, uid):
        raise AlreadyDefinedError("Service binding with this id is already defined")
    call.discovered.remember(uid, engine_discovery.deployments(service_type, body.get("credentials") or {}))
    return answer(call.client.bindings.get_details(uid), 201)


def get_bindings(call: Call) -> Response:
    return answer(call.client.bindings.get_details())


def get_binding(call: Call) -> Response:
    if call.path["binding"] not in call.client.bindings.get_uids():
        raise NotFoundError(f"there is no service binding {call.path['binding']!r}")
    return answer(call.client.bindings.get_details(call.path["binding"]))


def delete_binding(call: Call) -> Response:
    call.client.bindings.delete(call.path["binding"])
    return answer({}, 202)


def get_deployments(call: Call) -> Response:
    found = call.discovered.of(call.path["binding"])
    known = {resource["metadata"]["guid"] for resource in found}
    registered = assets.as_deployments(call.client, call.path["binding"])
    found += [resource for resource in registered if resource["metadata"]["guid"] not in known]
    return answer({"count": len(found), "resources": found})


def put_subscription(call: Call) -> Response:
    body = call.members()
    assets.add(
        call.client, call.path["subscription"], call.path["binding"], body, body.get("deployments") or []
    )
    return answer(subscription(call.client, call.path["subscription"]).get_details(), 201)


def get_subscriptions(call: Call) -> Response:
    registry = call.client.mart.registry
    documents = registry.documents()
    found = [
        SubscriptionClient(call.client, uid := asset.subscription_id).details(asset, documents.get(uid))
        for asset in registry.assets()
        if asset.binding_id == call.path["binding"]
    ]
    return answer({"subscriptions": found})


def get_subscription(call: Call) -> Response:
    return answer(subscription(call.client, call.path["subscription"]).get_details())


def patch_subscription(call: Call) -> Response:
    assets.patch(subscription(call.client, call.path["subscription"]), call.json())
    return answer(subscription(call.client, call.path["subscription"]).get_details())


def delete_subscription(call: Call) -> Response:
    call.client.subscriptions.delete(call.path["subscription"])
    return answer({}, 202)


def put_configuration(call: Call) -> Response:
    target = subscription(call.client, call.path["subscription"])
    return answer(assets.configure(target, v1_monitors.configuration_name(call), call.members()))


def get_configuration(call: Call) -> Response:
    target = subscription(call.client, call.path["subscription"])
    return answer(assets.configuration(target, v1_monitors.configuration_name(call)))


def store_payloads(call: Call) -> Response:
    """Records of one or several subscriptions; each subscription's are one transaction."""
    parts = assets.by_subscription(bodies.records(call.body))
    for uid in parts:
        subscription(call.client, uid)  # all of them are known, or nothing is stored
    states = {store_payload(call, uid, lines).state for uid, lines in parts.items()}
    return answer({"state": ERROR if ERROR in states else ACTIVE}, 202)


def get_transactions(call: Call) -> Response:
    target = subscription(call.client, call.query.get("subscription_id", ""))
    limit, offset = call.number("limit", 100), call.number("offset", 0)
    page = call.client.mart.payload.page(target.uid, assets.choice(call, limit, offset), count=True)
    values = [row[:-1] for row in page.rows]
    return answer({"total_count": page.total, "fields": page.fields, "values": values})


def get_schema(call: Call) -> Response:
    target = subscription(call.client, call.path["subscription"])
    return answer({"table_schema": target.payload_logging.schema()})


def store_feedback(call: Call) -> Response:
    body = call.members()
    target = subscription(call.client, str(body.get("subscription_id")))
    target.feedback_logging.store(body.get("values"), fields=body.get("fields"))
    return Response(status_code=204)


def store_feedback_rows(call: Call) -> Response:
    feedback = subscription(call.client, call.path["subscription"]).feedback_logging
    if "csv" in call.content_type:
        header, delimiter = call.query.get("header") == "true", call.query.get("delimiter", ",")
        counts = feedback.store(
            call.body, feedback_format="text", data_header=header, data_delimiter=delimiter
        )
    else:
        counts = feedback.store(call.json(), feedback_format="dict")
    return answer({"summary": {"total": counts.read, "failed": 0, "stored": counts.read}})


def get_deployment_metrics(call: Call) -> Response:
    return answer({"deployment_metrics": []})


routes = [
    Route("/v1/preauth/validateAuth", guarded(token), methods=["GET", "POST"]),
    *(
        Route(path, handler(function), methods=[method])
        for path, method, function in (
            (MART, "PUT", put_data_mart),
            (MART, "GET", get_data_mart),
            (MART, "DELETE", delete_data_mart),
            (MART + "/service_bindings", "POST", add_binding),
            (MART + "/service_bindings", "GET", get_bindings),
            (BINDING, "GET", get_binding),
            (BINDING, "DELETE", delete_binding),
            ("/v1/ml_instances/{binding}/deployments", "GET", get_deployments),
            (BINDING + "/subscriptions", "GET", get_subscriptions),
            (SUBSCRIPTION, "PUT", put_subscription),
            (SUBSCRIPTION, "GET", get_subscription),
            (SUBSCRIPTION, "PATCH", patch_subscription),
            (SUBSCRIPTION, "DELETE", delete_subscription),
            (SUBSCRIPTION + "/configurations/{name}", "PUT", put_configuration),
            (SUBSCRIPTION + "/configurations/{name}", "GET", get_configuration),
            (SUBSCRIPTION + "/drift_configurations", "POST", v1_monitors.enable_drift),
            ("/v1/fairness_monitoring", "POST", v1_monitors.enable_fairness),
            ("/v1/model_explanation_configurations", "POST", v1_monitors.enable_explainability),
            (SUBSCRIPTION + "/payload_table_schema", "GET", get_schema),
            (SUBSCRIPTION + "/feedback_payloads", "POST", store_feedback_rows),
            (MART + "/scoring_payloads", "POST", store_payloads),
            (MART + "/scoring_transactions", "GET", get_transactions),
            (MART + "/feedback_payloads", "POST", store_feedback),
            (MART + "/deployment_metrics", "GET", get_deployment_metrics),
        )
    ),
]
