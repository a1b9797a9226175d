"""How many histories are tried of what engines write and runs do."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def few(examples: int) -> settings:
    """Each example is many transactions."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
