"""What paylog tells Airflow about itself: connection types, and the ``[paylog]`` section."""

from __future__ import annotations

from typing import Any

from paylog.airflow.connection_types import connection_types

_CONFIG: dict[str, Any] = {
    "paylog": {
        "description": "How paylog's DAGs run.",
        "options": {
            "load_pool": {
                "description": "Pool that bounds how many batches load at once, over all subscriptions. "
                "The scheduler creates it when it starts, if it is not there.",
                "version_added": "0.1.0",
                "type": "string",
                "example": None,
                "default": "paylog_load",
            },
            "load_slots": {
                "description": "Slots of a pool that the scheduler creates. An existing one is left alone.",
                "version_added": "0.1.0",
                "type": "integer",
                "example": None,
                "default": "4",
            },
            "backfill_pool": {
                "description": "Pool of what backfills, and runs over a chosen window, load beside the "
                "schedule. Made like load_pool; with its name, they have no pool of their own.",
                "version_added": "0.2.0",
                "type": "string",
                "example": None,
                "default": "paylog_backfill",
            },
            "backfill_slots": {
                "description": "Slots of a backfill pool that the scheduler creates.",
                "version_added": "0.2.0",
                "type": "integer",
                "example": None,
                "default": "2",
            },
            "alert_schedule": {
                "description": "When DAG paylog_alerts looks whether logs arrive and are loaded in time "
                "(cron, UTC). It is there while a subscription has alerts.",
                "version_added": "0.2.0",
                "type": "string",
                "example": None,
                "default": "*/10 * * * *",
            },
            "show_values": {
                "description": "Whether the page in the UI shows what is in rejected records to users who "
                "may edit the subscription's DAG. Off: nobody sees a payload value in Airflow.",
                "version_added": "0.2.0",
                "type": "boolean",
                "example": None,
                "default": "False",
            },
        },
    }
}


def get_provider_info() -> dict[str, Any]:
    """Provider metadata, valid against Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "paylog",
        "name": "paylog",
        "description": "Payload logging for models served outside IBM Watson Machine Learning.",
        "integrations": [{"integration-name": "paylog", "tags": ["software"]}],
        "hooks": [{"integration-name": "paylog", "python-modules": ["paylog.airflow.hooks"]}],
        "connection-types": connection_types(),
        "config": _CONFIG,
    }
