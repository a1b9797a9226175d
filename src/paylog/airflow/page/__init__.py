"""paylog's page in Airflow's UI: an application below ``/paylog``, built when it is first asked for."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

PREFIX = "/paylog"
ROUTE = "paylog"


class PayloadPage:
    """ASGI application. Every Airflow process loads the plugin; only the API server needs FastAPI."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from paylog.airflow.page.app import app

        await app(scope, receive, send)


def external_views() -> list[dict[str, Any]]:
    """An entry in Airflow's navigation, and a tab on the page of a DAG and of a run."""
    root, icon = f"{base_path()}{PREFIX}", f"{base_path()}{PREFIX}/static/icon.svg"
    dark = f"{base_path()}{PREFIX}/static/icon-dark.svg"
    shown = {"name": "Payload", "icon": icon, "icon_dark_mode": dark}
    return [
        {**shown, "href": f"{root}/", "destination": "nav", "url_route": ROUTE, "nav_top_level": True},
        {**shown, "href": f"{root}/dag/{{DAG_ID}}", "destination": "dag", "url_route": "payload"},
        {
            **shown,
            "href": f"{root}/dag/{{DAG_ID}}?run={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "payload_run",
        },
    ]


def page_of_run(dag_id: str, run_id: str) -> str:
    """Address, on Airflow's server, of the page of a run's subscription, inside Airflow's own frame."""
    inside = f"{base_path()}{PREFIX}/dag/{quote(dag_id, safe='')}"
    return f"{base_path()}/plugin/{ROUTE}{inside}?run={quote(run_id, safe='')}"


def base_path() -> str:
    """Path below which Airflow itself is served: empty, or ``/airflow``."""
    from airflow.configuration import conf

    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
