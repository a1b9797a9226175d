"""Which checks there are for some subscriptions, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from paylog.doctor import mart_checks, probes, store_checks, table_checks
from paylog.doctor.examination import Check, Group

if TYPE_CHECKING:
    from paylog.subscription import Subscription

_NAMED = "Mend the connection {0!r}: Airflow's connections, or AIRFLOW_CONN_{1}. Then run doctor again."


def groups(subscriptions: Sequence[Subscription]) -> Iterator[Group]:
    """Logs, data mart, tables and services of each; what several share is looked at once."""
    marts: dict[object, Subscription] = {}
    logs: dict[object, Subscription] = {}
    for each in subscriptions:
        marts.setdefault(each.data_mart, each)
        logs.setdefault((each.logs.connection, each.logs.bucket, each.logs.prefix), each)
    for each in logs.values():
        yield Group(each.id, list(_of_logs(each)))
    for each in marts.values():
        yield Group(f"schema {each.data_mart.schema_name}", list(_of_mart(each)))
    for each in subscriptions:
        yield Group(each.id, list(_of_table(each)))
        yield from _of_others(each)


def _of_logs(subscription: Subscription) -> Iterator[Check]:
    remedy = _named(subscription.logs.connection)
    rights = "Give the credentials the right to list and read below logs.prefix."
    yield Check("LOGS_LISTED", partial(probes.list_one, subscription), remedy)
    yield Check("LOGS_READ", partial(store_checks.read_one, subscription), rights)
    yield Check("LOGS_TLS", partial(store_checks.encrypted, subscription), remedy)
    yield Check("LOGS_CLOCK", partial(store_checks.clock, subscription), remedy)


def _of_mart(subscription: Subscription) -> Iterator[Check]:
    remedy = _named(subscription.data_mart.connection)
    yield Check("MART_ANSWERS", partial(probes.sign_in, subscription), remedy)
    for code, look in mart_checks.SERVER.items():
        yield Check(code, partial(look, subscription), remedy)
    if subscription.data_mart.owner_connection is not None:
        owner = _named(subscription.data_mart.owner_connection)
        yield Check("MART_OWNER", partial(mart_checks.owner, subscription), owner)
    if subscription.data_mart.read_connection is not None:
        reader = _named(subscription.data_mart.read_connection)
        yield Check("MART_READER", partial(mart_checks.reader, subscription), reader)


def _of_table(subscription: Subscription) -> Iterator[Check]:
    mart = _named(subscription.data_mart.connection)
    model = "Change the model schema or the table as the message says; paylog schema shows the columns."
    yield Check("PAYLOAD_TABLE", partial(table_checks.drift, subscription), model)
    yield Check("PARTITIONS_AHEAD", partial(table_checks.partitions_ahead, subscription), mart)


def _of_others(subscription: Subscription) -> Iterator[Group]:
    if (training := subscription.training_data) is not None:
        check = partial(probes.open_training, subscription)
        yield Group(subscription.id, [Check("TRAINING_DATA", check, _named(training.connection))])
    if (deliver := subscription.deliver) is not None:
        check = partial(probes.ask_service, subscription)
        yield Group(subscription.id, [Check("SERVICE_ANSWERS", check, _named(deliver.connection))])


def _named(connection: str) -> str:
    return _NAMED.format(connection, connection.upper())
