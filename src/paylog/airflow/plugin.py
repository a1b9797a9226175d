"""paylog in Airflow's processes: the pools that bound loads, the page in the UI, links to it from tasks.

Airflow makes the pools as it starts, for a missing pool would hold tasks for ever.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from paylog.airflow.links import PayloadPageLink
from paylog.airflow.page import PREFIX, PayloadPage, external_views
from paylog.airflow.pools import create_pools


@hookimpl
def on_starting(component: Any) -> None:
    """Create the pools that are not there. An operator's own slots are left as they are.

    Airflow calls this for the jobs that have its database (scheduler, DAG processor, triggerer), before
    they know which of these they are, and for task runners, which have none.
    """
    if type(component).__module__ == "airflow.jobs.job":
        create_pools()


class PaylogPlugin(AirflowPlugin):
    """Registers all of it (entry point ``airflow.plugins``)."""

    name = "paylog"
    listeners = [sys.modules[__name__]]  # noqa: RUF012
    fastapi_apps = [{"app": PayloadPage(), "url_prefix": PREFIX, "name": "paylog"}]  # noqa: RUF012
    external_views = external_views()
    operator_extra_links = [PayloadPageLink()]  # noqa: RUF012
