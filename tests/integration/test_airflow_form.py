"""The trigger form's answers, and the pool that a batch's run gets."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from paylog.reprocess import Order, Reprocess
from paylog.subscription import load_subscriptions
from paylog.subscription.subscription import BatchLimits

if TYPE_CHECKING:
    from paylog.airflow.form import Form

SUBSCRIPTIONS = Path(__file__).parents[2] / "subscriptions"


def answered(batch_bytes: int, **answers: Any) -> Form:
    """The form of a shipped subscription with batches of that size, where the rest was left as it is."""
    from paylog.airflow.form import Form, form_params

    (shipped, *_) = load_subscriptions(SUBSCRIPTIONS)
    subscription = shipped.model_copy(update={"batch": BatchLimits(bytes=batch_bytes)})
    given = {name: param.value for name, param in form_params(subscription).items()}
    return Form.of(given | answers, subscription)


def test_a_run_that_nobody_asked_anything_loads_what_is_new() -> None:
    form = answered(64_000_000)
    assert (form.reprocess, form.order, form.plan_only) == (Reprocess.NEW, Order.OLDEST, False)
    assert form.batch_bytes == 64_000_000


@pytest.mark.parametrize("declared", [400_000, 1_000_000, 2_500_000])
def test_batches_are_as_declared_unless_another_size_is_asked(declared: int) -> None:
    assert answered(declared).batch_bytes == declared
    assert answered(declared, batch_mb=7).batch_bytes == 7_000_000


@pytest.mark.parametrize(
    ("name", "wrong"), [("reprocess", "all"), ("order", "random"), ("plan_only", "maybe"), ("batch_mb", 0)]
)
def test_an_answer_that_makes_no_sense_is_refused(name: str, wrong: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    from paylog.airflow.form import form_params

    (subscription, *_) = load_subscriptions(SUBSCRIPTIONS)
    with pytest.raises(ParamValidationError):
        form_params(subscription)[name].resolve(wrong)


def pool_of(run: Any, pool: str = "paylog_load") -> tuple[str, int]:
    (policy,) = [found for found in entry_points(group="airflow.policy") if found.name == "paylog"]
    instance = SimpleNamespace(pool=pool, priority_weight=3)
    policy.load().task_instance_mutation_hook(instance, run)
    return instance.pool, instance.priority_weight


def test_backfills_and_range_runs_have_a_pool_of_their_own_behind_scheduled_runs() -> None:
    window = {"window_start": "2024-03-04T00:00:00Z", "window_end": None}
    behind, as_it_is = ("paylog_backfill", 1), ("paylog_load", 3)
    assert pool_of(SimpleNamespace(run_type="backfill", conf=None)) == behind
    assert pool_of(SimpleNamespace(run_type="manual", conf=window)) == behind
    assert pool_of(SimpleNamespace(run_type="manual", conf={"window_start": None})) == as_it_is
    assert pool_of(SimpleNamespace(run_type="scheduled", conf={})) == as_it_is
    assert pool_of(None) == as_it_is


def test_tasks_of_other_pools_are_left_alone() -> None:
    run = SimpleNamespace(run_type="backfill", conf=None)
    assert pool_of(run, "default_pool") == ("default_pool", 3)


def test_airflow_knows_the_policy() -> None:
    from airflow.settings import get_policy_plugin_manager

    hooks = get_policy_plugin_manager().hook.task_instance_mutation_hook.get_hookimpls()
    assert "paylog.airflow.pools" in {hook.plugin.__name__ for hook in hooks}
