"""paylog in Airflow's processes: the pool that bounds loads, the page in the UI, links to it from tasks.

Airflow makes the pool as it starts, for a missing pool would hold tasks for ever.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from paylog.airflow.links import PayloadPageLink
from paylog.airflow.page import PREFIX, PayloadPage, external_views

log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: Any) -> None:
    """Create ``[paylog] load_pool`` if it is not there. An operator's own slots are left as they are.

    Airflow calls this for the jobs that have its database (scheduler, DAG processor, triggerer), before
    they know which of these they are, and for task runners, which have none.
    """
    if type(component).__module__ != "airflow.jobs.job":
        return
    from airflow.configuration import conf
    from airflow.models.pool import Pool

    name = conf.get("paylog", "load_pool")
    if Pool.get_pool(name) is not None:
        return
    slots = conf.getint("paylog", "load_slots")
    try:
        Pool.create_or_update_pool(name, slots, "Bounds paylog's loads.", include_deferred=False)
    except Exception:
        # Another job may have made it at the same moment.
        if Pool.get_pool(name) is None:
            raise
    else:
        log.info("Created pool %r with %d slots", name, slots)


class PaylogPlugin(AirflowPlugin):
    """Registers all of it (entry point ``airflow.plugins``)."""

    name = "paylog"
    listeners = [sys.modules[__name__]]  # noqa: RUF012
    fastapi_apps = [{"app": PayloadPage(), "url_prefix": PREFIX, "name": "paylog"}]  # noqa: RUF012
    external_views = external_views()
    operator_extra_links = [PayloadPageLink()]  # noqa: RUF012
