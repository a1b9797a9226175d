"""The two pools that bound loads: one for scheduled runs, one for backfills and runs over a range.

As a policy of Airflow (entry point ``airflow.policy``) this sends each batch to its run's pool: in one DAG
all batches come from one task, which can name only one pool. Airflow calls it when it makes, expands or
clears task instances.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.configuration import conf
from airflow.policies import hookimpl

log = logging.getLogger(__name__)

# Default weights count what follows: with 1, other tasks go first where only the executor's slots are short.
_WEIGHT = 1


@hookimpl
def task_instance_mutation_hook(task_instance: Any, dag_run: Any) -> None:
    """Put a batch of a backfill, or of a run over a chosen window, behind those of scheduled runs."""
    if dag_run is None or task_instance.pool != conf.get("paylog", "load_pool"):
        return
    if dag_run.run_type == "backfill" or (dag_run.conf or {}).get("window_start"):
        task_instance.pool = conf.get("paylog", "backfill_pool")
        task_instance.priority_weight = _WEIGHT


def create_pools() -> None:
    """Make the pools that are missing, with ``[paylog] load_slots`` and ``backfill_slots``."""
    _create(conf.get("paylog", "load_pool"), conf.getint("paylog", "load_slots"), "Bounds paylog's loads.")
    name, slots = conf.get("paylog", "backfill_pool"), conf.getint("paylog", "backfill_slots")
    _create(name, slots, "Bounds what paylog's backfills load beside the schedule.")


def _create(name: str, slots: int, description: str) -> None:
    from airflow.models.pool import Pool

    if Pool.get_pool(name) is not None:
        return
    try:
        Pool.create_or_update_pool(name, slots, description, include_deferred=False)
    except Exception:
        # Another job may have made it at the same moment.
        if Pool.get_pool(name) is None:
            raise
    else:
        log.info("Created pool %r with %d slots", name, slots)
