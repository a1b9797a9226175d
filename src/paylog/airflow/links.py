"""paylog's tasks, with a link from each task instance to the page of its subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.decorator import task_decorator_factory

from paylog.airflow.page import page_of_run

if TYPE_CHECKING:
    from collections.abc import Callable


class PaylogOperator(_PythonDecoratedOperator):
    """What ``@task`` makes, under a class of our own: Airflow finds the link by it."""


class PayloadPageLink(BaseOperatorLink):
    """To the page of the task's subscription. Computed by the API server, so it is there from the start."""

    name = "Payload page"
    operators = [PaylogOperator]  # noqa: RUF012

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Its address on Airflow's own server."""
        return page_of_run(ti_key.dag_id, ti_key.run_id)


def task(**arguments: Any) -> Callable[[Callable[..., Any]], Any]:
    """``airflow.sdk.task``, with arguments only, for tasks of paylog."""
    made: Callable[[Callable[..., Any]], Any] = task_decorator_factory(
        decorated_operator_class=PaylogOperator, **arguments
    )
    return made
