"""What the user of a request may see, by Airflow's own rights."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.configuration import conf

SHOW_VALUES = "show_values"


@dataclass(frozen=True)
class Rights:
    """A subscription is seen by those who may read its DAG.

    :param readable: ids of the DAGs that the user may read.
    :param editable: ids of those that the user may edit.
    :param values: whether ``[paylog] show_values`` is on.
    """

    readable: frozenset[str]
    editable: frozenset[str] = field(default=frozenset())
    values: bool = False

    def see_values(self, dag_id: str) -> bool:
        """Whether the user may see what is in rejected records: switched on, and they may edit the DAG."""
        return self.values and dag_id in self.readable and dag_id in self.editable


def rights(user: GetUserDep) -> Rights:
    """A dependency of FastAPI. Answers 401 when nobody is signed in."""
    manager = get_auth_manager()
    readable = frozenset(manager.get_authorized_dag_ids(user=user, method="GET"))
    values = conf.getboolean("paylog", SHOW_VALUES)
    editable = frozenset(manager.get_authorized_dag_ids(user=user, method="PUT")) if values else frozenset()
    return Rights(readable, editable, values)
