"""The training data that a subscription names: Db2 or objects."""

from __future__ import annotations

from paylog.connections import resolve
from paylog.errors import ConfigurationError
from paylog.model_schema import Role
from paylog.subscription import Subscription
from paylog.subscription.training_data import Db2Reference
from paylog.training_data import TrainingData


def open_reference(subscription: Subscription) -> TrainingData:
    """See :func:`paylog.training_data.open_source`."""
    reference = subscription.training_data
    if reference is None:
        raise ConfigurationError(
            f"subscription {subscription.id!r} names no training data: add a training_data section "
            "(type db2 or cos)"
        )
    connection = resolve(reference.connection)
    fields = subscription.model_schema.fields
    if isinstance(reference, Db2Reference):
        from paylog.training_data.db2 import Db2Table

        return Db2Table(reference, connection, [field.name for field in fields])
    from paylog.training_data.objects import Objects

    wanted = [f.name for f in fields if f.role in (Role.FEATURE, Role.TARGET)]
    # Without a header: the features in declared order, then the label.
    wanted.sort(key=[f.name for f in fields if f.role is Role.TARGET].__contains__)
    return Objects(reference, connection, reference.columns or wanted)
