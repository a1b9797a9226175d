"""The data mart's server, and the rights of the roles that work there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from paylog.doctor.examination import Answer, Health
from paylog.doctor.store_checks import of_clock
from paylog.subscription.quantities import format_size

if TYPE_CHECKING:
    from paylog.data_mart import DataMart
    from paylog.subscription import Subscription

OLDEST = 150000
# A load holds one connection, and a second one while it makes a partition.
CONNECTIONS_A_LOAD = 2
# Loads of the schedule and, in a pool of their own beside them, those of backfills.
SLOTS = {"AIRFLOW__PAYLOG__LOAD_SLOTS": 4, "AIRFLOW__PAYLOG__BACKFILL_SLOTS": 2}
LEAST_TIMEOUT = 600_000  # ms: a batch is one transaction
LEAST_BUFFERS = 128 * 1024**2 // 8192
LEAST_WAL = 1024  # MB
LEAST_FREE = 0.1


def version(subscription: Subscription) -> Answer:
    """PostgreSQL 15 or later."""
    with _mart(subscription) as mart:
        number = mart.vitals.server().version
    found = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number >= OLDEST:
        return Answer(Health.OK, found)
    return Answer(Health.FAILED, found, "paylog needs PostgreSQL 15 or later: upgrade the server.")


def writable(subscription: Subscription) -> Answer:
    """A primary that takes writes."""
    with _mart(subscription) as mart:
        server = mart.vitals.server()
    if server.standby:
        return Answer(Health.FAILED, "a standby", "Connect to the primary (target_session_attrs=read-write).")
    if server.settings["default_transaction_read_only"] == "on":
        return Answer(Health.FAILED, "read-only by setting", "Set default_transaction_read_only to off.")
    return Answer(Health.OK, "takes writes")


def encoding(subscription: Subscription) -> Answer:
    """UTF-8."""
    with _mart(subscription) as mart:
        found = mart.vitals.server().settings["server_encoding"]
    if found == "UTF8":
        return Answer(Health.OK, found)
    return Answer(Health.FAILED, found, "Texts of scoring logs are Unicode: use a database with UTF8.")


def encrypted(subscription: Subscription) -> Answer:
    """TLS, unless the server is on this machine."""
    with _mart(subscription) as mart:
        if mart.vitals.encrypted():
            return Answer(Health.OK, "under TLS")
        if mart.vitals.is_here:
            return Answer(Health.OK, "without TLS, on this machine")
    remedy = "Turn TLS on at the server and set sslmode=verify-full and sslrootcert in the connection."
    return Answer(Health.WARNING, "without TLS", remedy)


def clock(subscription: Subscription) -> Answer:
    """The server's clock."""
    with _mart(subscription) as mart:
        return of_clock(mart.vitals.server().ahead, "the server")


def durable(subscription: Subscription) -> Answer:
    """Whether a committed batch survives a crash of the server."""
    with _mart(subscription) as mart:
        settings = mart.vitals.server().settings
    off = [n for n in ("fsync", "full_page_writes", "synchronous_commit") if settings.get(n) == "off"]
    if not off:
        return Answer(Health.OK, "committed batches survive a crash")
    remedy = "Turn them on: after a crash, batches whose receipts were given may be missing, or pages torn."
    return Answer(Health.WARNING, f"off: {', '.join(off)}", remedy)


def time_limits(subscription: Subscription) -> Answer:
    """Limits that would cut a batch short."""
    with _mart(subscription) as mart:
        settings = mart.vitals.server().settings
    names = ("idle_in_transaction_session_timeout", "statement_timeout", "transaction_timeout")
    short = [f"{n} = {ms / 1000:.0f} s" for n in names if 0 < (ms := int(settings.get(n, 0))) < LEAST_TIMEOUT]
    if not short:
        return Answer(Health.OK, "none under 10 minutes")
    remedy = "A batch is one transaction: give the role that loads more (ALTER ROLE … SET …), or 0 for none."
    return Answer(Health.WARNING, ", ".join(short), remedy)


def memory(subscription: Subscription) -> Answer:
    """Settings that loading profits from."""
    with _mart(subscription) as mart:
        settings = mart.vitals.server().settings
    buffers, wal = int(settings["shared_buffers"]), int(settings["max_wal_size"])
    found = f"shared_buffers {format_size(buffers * 8192)}, max_wal_size {format_size(wal * 1024**2)}"
    if buffers >= LEAST_BUFFERS and wal >= LEAST_WAL:
        return Answer(Health.OK, found)
    remedy = "Set shared_buffers to about a quarter of the server's memory, and max_wal_size to 1GB or more."
    return Answer(Health.WARNING, found, remedy)


def space(subscription: Subscription) -> Answer:
    """Size of the database, and free space where it can be known."""
    with _mart(subscription) as mart:
        server, here = mart.vitals.server(), mart.vitals.is_here
    size = f"the database takes {format_size(server.database_bytes)}"
    folder = server.settings.get("data_directory", "")
    if not folder or not here or not Path(folder).exists():
        return Answer(Health.UNKNOWN, f"{size}; SQL does not tell what is free", "Watch the server's disk.")
    usage = shutil.disk_usage(folder)
    found = f"{size}; {format_size(usage.free)} of {format_size(usage.total)} are free"
    if usage.free >= LEAST_FREE * usage.total or usage.free > 10 * server.database_bytes:
        return Answer(Health.OK, found)
    return Answer(Health.WARNING, found, "Make room, or let retention drop old months (retention:).")


def schema_version(subscription: Subscription) -> Answer:
    """Revision of the control tables."""
    from paylog.data_mart.control_tables import HEAD

    with _mart(subscription) as mart:
        found = mart.version()
    if found == HEAD:
        return Answer(Health.OK, f"revision {found}")
    if found is None:
        return Answer(
            Health.OK, "no control tables yet: the first run, or paylog data-mart setup, makes them"
        )
    if found < HEAD:
        remedy = "The next run migrates them, or paylog data-mart setup."
        return Answer(Health.WARNING, f"revision {found}, this paylog has {HEAD}", remedy)
    return Answer(Health.FAILED, f"revision {found}, this paylog knows {HEAD}", "Upgrade paylog here too.")


def rights(subscription: Subscription) -> Answer:
    """What the role that loads may do: what it needs, and not more."""
    apart = subscription.data_mart.owner_connection is not None
    with _mart(subscription) as mart:
        server, may = mart.vitals.server(), mart.vitals.rights()
        lacking = mart.vitals.missing_for_load(subscription.id) if may.usage else []
    lacking += [] if may.temporary else ["TEMPORARY on the database"]
    if may.usage is None and not (may.create_schema or apart):
        lacking.append("CREATE on the database, for the schema")
    if may.usage is False:
        lacking.append("USAGE on the schema")
    if may.create is False and not apart:
        lacking.append("CREATE on the schema")
    remedy = "Run paylog data-mart roles, or grant them by hand."
    if lacking:
        return Answer(Health.FAILED, f"role {server.role!r} lacks {', '.join(lacking)}", remedy)
    if server.superuser:
        return Answer(Health.WARNING, f"role {server.role!r} is a superuser", _LESS)
    if apart and may.create:
        return Answer(Health.WARNING, f"role {server.role!r} may create tables", remedy)
    return Answer(Health.OK, f"role {server.role!r} may do what it needs")


def owner(subscription: Subscription) -> Answer:
    """Whether the owner's role owns the tables."""
    with _mart(subscription) as mart:
        strange = mart.vitals.not_owned(subscription.id)
    if not strange:
        return Answer(Health.OK, "owns the tables")
    found = f"does not own {', '.join(strange)}"
    return Answer(Health.FAILED, found, "Run paylog data-mart roles --apply: it takes tables over.")


def reader(subscription: Subscription) -> Answer:
    """Whether the role that reads can only read, and no raw bytes."""
    from paylog.pipeline import open_for_reading

    with open_for_reading(subscription) as mart:
        too_much = mart.vitals.excessive_for_reading(subscription.id)
        server = mart.vitals.server()
    if server.superuser:
        return Answer(Health.WARNING, f"role {server.role!r} is a superuser", _LESS)
    if not too_much:
        return Answer(Health.OK, f"role {server.role!r} can only read")
    some = ", ".join(too_much[:5])
    return Answer(Health.WARNING, f"role {server.role!r} has {some}", "Run paylog data-mart roles --apply.")


def connections(subscription: Subscription) -> Answer:
    """Whether all load slots at once find connections, those of backfills too."""
    slots = sum(int(os.environ.get(name, usual)) for name, usual in SLOTS.items())
    needed = slots * CONNECTIONS_A_LOAD
    with _mart(subscription) as mart:
        server = mart.vitals.server()
    left = server.connection_limit - server.connections
    state = f"{server.connection_limit} are allowed, {server.connections} open"
    found = f"{slots} loads at once need {needed} connections; {state}"
    if left >= needed:
        return Answer(Health.OK, found)
    remedy = "Raise max_connections, or lower the slots of the pools [paylog] load_pool and backfill_pool."
    health = Health.FAILED if server.connection_limit < needed else Health.WARNING
    return Answer(health, found, remedy)


_LESS = "Let a role of its own load: data_mart.owner_connection and paylog data-mart roles."

SERVER: dict[str, Callable[[Subscription], Answer]] = {
    "MART_VERSION": version,
    "MART_WRITABLE": writable,
    "MART_ENCODING": encoding,
    "MART_TLS": encrypted,
    "MART_CLOCK": clock,
    "MART_DURABLE": durable,
    "MART_TIME_LIMITS": time_limits,
    "MART_MEMORY": memory,
    "MART_SPACE": space,
    "MART_SCHEMA_VERSION": schema_version,
    "MART_RIGHTS": rights,
    "MART_CONNECTIONS": connections,
}


def _mart(subscription: Subscription) -> DataMart:
    from paylog.pipeline import open_data_mart

    return open_data_mart(subscription)
