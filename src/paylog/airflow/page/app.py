"""The page's addresses. Every answer but the empty page itself asks for the user's rights first."""

from __future__ import annotations

import html
import logging
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from paylog.airflow.dag import dag_id
from paylog.airflow.page import content
from paylog.airflow.page.places import Places
from paylog.airflow.page.rights import Rights, rights
from paylog.data_mart import DataMart
from paylog.errors import PaylogError, Reason
from paylog.subscription import Subscription

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
_HEADERS = {
    # Nothing is ever asked of another server, and no other site may frame it.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'self'; base-uri 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_DAG_PREFIXES = ("paylog__", "paylog_training_data__", "paylog_replay__")

app = FastAPI(title="paylog", docs_url=None, redoc_url=None, openapi_url=None)
app.mount("/static", StaticFiles(directory=STATIC), name="static")
app.state.places = Places()

Allowed = Annotated[Rights, Depends(rights)]


def _places(request: Request) -> Places:
    found: Places = request.app.state.places
    return found


Known = Annotated[Places, Depends(_places)]


def _owned(subscription_id: str, allowed: Allowed, places: Known) -> Subscription:
    """The subscription, for those who may read its DAG; to all others it does not exist."""
    found = places.subscriptions().get(subscription_id)
    if found is None or dag_id(subscription_id) not in allowed.readable:
        raise HTTPException(404, f"There is no subscription {subscription_id!r} that you may see.")
    return found


Owned = Annotated[Subscription, Depends(_owned)]


def _mart(subscription: Owned, places: Known) -> DataMart:
    mart = places.data_mart(subscription)
    if not mart.overview.usable():
        raise HTTPException(409, "Nothing was loaded yet: the first run makes the data mart.")
    return mart


Mart = Annotated[DataMart, Depends(_mart)]
Day = Annotated[date | None, Query(ge=date(1970, 1, 1), le=date(2200, 1, 1))]


@app.middleware("http")
async def _headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answer(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@app.exception_handler(PaylogError)
def _failed(request: Request, error: PaylogError) -> JSONResponse:
    log.warning("%s: %s", request.url.path, error)
    return JSONResponse({"detail": str(error)}, status_code=503)


@app.get("/", response_class=HTMLResponse)
@app.get("/subscription/{_name}", response_class=HTMLResponse)
@app.get("/dag/{_name}", response_class=HTMLResponse)
def page(request: Request) -> str:
    """The page, empty: what it shows it asks for."""
    base = html.escape(f"{request.scope['root_path']}/", quote=True)
    return (STATIC / "index.html").read_text(encoding="utf-8").replace("{base}", base)


@app.get("/api/subscriptions")
def subscriptions(allowed: Allowed, places: Known) -> dict[str, Any]:
    """Every subscription that the user may see, in as many cards."""
    mine = [s for s in places.subscriptions().values() if dag_id(s.id) in allowed.readable]
    by_mart = sorted(mine, key=_mart_key)
    cards = [card for _, some in groupby(by_mart, _mart_key) for card in _cards(list(some), places)]
    return {"now": content.utc_now(), "subscriptions": sorted(cards, key=lambda card: str(card["id"]))}


@app.get("/api/dags/{name}")
def subscription_of_dag(name: str, allowed: Allowed, places: Known) -> dict[str, str]:
    """Which subscription a DAG belongs to."""
    wanted = next((name.removeprefix(p) for p in _DAG_PREFIXES if name.startswith(p)), "")
    return {"id": _owned(wanted, allowed, places).id}


@app.get("/api/subscriptions/{subscription_id}")
def summary(subscription: Owned, mart: Mart, allowed: Allowed) -> dict[str, Any]:
    """All of a subscription but its calendar."""
    values = allowed.see_values(dag_id(subscription.id))
    now = content.utc_now()
    return {"now": now, **content.summary(subscription, mart, now, values=values)}


@app.get("/api/subscriptions/{subscription_id}/days")
def days(subscription: Owned, mart: Mart, first: Day = None, last: Day = None) -> dict[str, Any]:
    """State and counts of each day, at most about three years; by default the year up to today."""
    now = content.utc_now()
    last = last or now.date()
    first = first or last - timedelta(days=370)
    if not timedelta() <= last - first < timedelta(days=1100):
        raise HTTPException(422, "Ask for up to 1,100 days, the first one before the last one.")
    return content.days(subscription, mart, first, last, now)


@app.get("/api/subscriptions/{subscription_id}/receipts")
def receipts(
    subscription: Owned, mart: Mart, before: int | None = None, run: str | None = None
) -> list[dict[str, Any]]:
    """The newest receipts first."""
    return content.receipts(subscription, mart, before, run)


@app.get("/api/subscriptions/{subscription_id}/rejected")
def rejected(
    subscription: Owned, mart: Mart, reason: Reason | None = None, before: int | None = None
) -> list[dict[str, Any]]:
    """Rejected records by object, position and column."""
    return content.rejected(subscription, mart, reason, before)


@app.get("/api/subscriptions/{subscription_id}/rejected/{record}")
def raw(subscription: Owned, mart: Mart, allowed: Allowed, record: int, response: Response) -> dict[str, Any]:
    """What is in a rejected record; no browser or proxy may keep it."""
    response.headers["Cache-Control"] = "no-store"
    if not allowed.see_values(dag_id(subscription.id)):
        raise HTTPException(403, "Payload values are not shown: [paylog] show_values, and the right to edit.")
    found = content.raw_record(subscription, mart, record)
    if found is None:
        raise HTTPException(404, f"There is no rejected record {record}.")
    return found


def _mart_key(subscription: Subscription) -> tuple[str, str]:
    target = subscription.data_mart
    return target.read_connection or target.connection, target.schema_name


def _cards(subscriptions: list[Subscription], places: Places) -> list[dict[str, Any]]:
    """Of the subscriptions in one data mart. A data mart that is down costs its own cards and no other."""
    try:
        mart = places.data_mart(subscriptions[0])
        if not mart.overview.usable():
            return [content.broken_card(s, None) for s in subscriptions]
        return content.cards(subscriptions, mart, content.utc_now())
    except PaylogError as error:
        log.warning("%s", error)
        return [content.broken_card(s, error) for s in subscriptions]
