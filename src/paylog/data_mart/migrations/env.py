"""Alembic's entry point: migrate the connection that ``paylog.data_mart.setup`` hands over."""

from alembic import context

from paylog.data_mart.control_tables import VERSION_TABLE
from paylog.data_mart.operation_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
