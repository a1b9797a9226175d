"""``subscription.payload_logging``: store payload records and look at them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paylog import posted
from paylog.client.payload_record import PayloadRecord, encoded
from paylog.client.table_view import print_table
from paylog.data_mart.payload_table import payload_table_name
from paylog.data_mart.registry import PAYLOAD_LOGGING
from paylog.errors import ConfigurationError, InvalidInput
from paylog.model_schema import ARROW_TYPES, Column, FieldType, ModelSchema
from paylog.records import Receipt

if TYPE_CHECKING:
    import pandas as pd

    from paylog.client.subscription import SubscriptionClient

log = logging.getLogger(__name__)

_TYPE_NAMES: dict[Any, Any] = {ARROW_TYPES[kind]: str(kind) for kind in FieldType} | {
    ARROW_TYPES[FieldType.ARRAY]: {"type": "array", "elementType": "double", "containsNull": True}
}
_ROLES = {
    "scoring_id": "record-id",
    "scoring_timestamp": "record-timestamp",
    "prediction_probability": "prediction-probability",
}


class PayloadLogging:
    """Payload records of one subscription (contract section 1.5)."""

    def __init__(self, subscription: SubscriptionClient) -> None:
        self._subscription = subscription

    def enable(self, dynamic_schema_update: bool | None = None) -> None:
        """Accept records from now on; ``dynamic_schema_update`` is for IBM's service and changes nothing."""
        self._configure({"enabled": True})

    def disable(self) -> None:
        """Accept no more records from ``store``. What is there stays.

        :raises ConfigurationError: it is not enabled, or the subscription is declared in a file.
        """
        if self._subscription.asset is None:
            raise ConfigurationError(
                f"subscription {self._subscription.uid} is declared in a file: it takes records as long "
                "as it is there"
            )
        if not self.enabled:
            raise ConfigurationError("payload logging is not enabled, so it cannot be disabled")
        self._configure({"enabled": False})

    def get_details(self) -> dict[str, Any]:
        """Whether it is enabled, and ``parameters`` with table name and schema once records were stored."""
        uid, mart = self._subscription.uid, self._subscription.client.mart
        parameters: dict[str, Any] = {"table_name": f"{mart.schema}.{payload_table_name(uid)}"}
        if mart.registry.document(uid) is not None:
            parameters["output_data_schema"] = self.schema()
        return {"enabled": self.enabled, "parameters": parameters}

    def store(self, records: Sequence[PayloadRecord], deployment_id: str | None = None) -> Receipt:
        """Store records in one transaction; storing the same again adds nothing.

        Rows that do not fit the model schema go to quarantine, with a warning that counts them.

        :returns: the receipt: read = loaded + duplicate + rejected.
        :raises InvalidInput: a record cannot be stored at all, or there are none; nothing was kept.
        :raises ConfigurationError: disabled, another deployment's, or the first records show no schema.
        """
        if not self.enabled:
            raise ConfigurationError("payload logging is disabled: call payload_logging.enable() first")
        if deployment_id is not None:
            (own,) = self._subscription.get_deployment_uids()
            if deployment_id != own:
                raise ConfigurationError(f"the subscription is of deployment {own!r}, not {deployment_id!r}")
        if not isinstance(records, list | tuple) or not records:
            raise InvalidInput("store takes a list of at least one PayloadRecord")
        body = encoded(records)
        subscription = self._subscription.declare(body)
        receipt = posted.store(self._subscription.client.mart, subscription, body)
        if receipt.counts.rejected:
            reasons = ", ".join(f"{reason} {count}" for reason, count in receipt.reasons.items())
            log.warning("%s: %d rows rejected: %s", subscription.id, receipt.counts.rejected, reasons)
        return receipt

    def get_records_count(self) -> int:
        """Payload records in the table, however they came there."""
        return self._subscription.client.mart.payload.count(self._subscription.uid)

    def get_table_content(
        self, format: str = "pandas", limit: int | None = 1000
    ) -> pd.DataFrame | dict[str, Any]:
        """The records in the order of their scoring time, in one query.

        :param format: ``pandas``, or ``python`` for ``{"fields": […], "values": [(…), …]}``.
        :raises ConfigurationError: another format.
        """
        if format not in ("pandas", "python"):
            raise ConfigurationError(f"format is 'pandas' or 'python', not {format!r}")
        uid, mart = self._subscription.uid, self._subscription.client.mart
        if format == "pandas":
            return mart.payload.frame(uid, limit=limit)
        fields, values = mart.payload.rows(uid, limit)
        return {"fields": fields, "values": values}

    def show_table(self, limit: int | None = 10) -> None:
        """Print the first records."""
        frame = self._subscription.client.mart.payload.frame(self._subscription.uid, limit=limit)
        print(payload_table_name(self._subscription.uid), frame.to_string(index=False), sep="\n")

    def describe_table(self, limit: int | None = 1000) -> None:
        """Print pandas' description of the first records."""
        print(self._subscription.client.mart.payload.frame(self._subscription.uid, limit=limit).describe())

    def print_table_schema(self) -> None:
        """Print the columns with type and whether they may be null."""
        fields = self.schema()["fields"]
        rows = [(field["name"], field["type"], field["nullable"]) for field in fields]
        title = f"Schema of {payload_table_name(self._subscription.uid)}"
        print_table(title, ("name", "type", "nullable"), rows)

    def schema(self) -> dict[str, Any]:
        """The table as OpenScale describes it; paylog's own columns are left out."""
        return struct_of(self._subscription.declared().model_schema)

    @property
    def enabled(self) -> bool:
        """Whether ``store`` accepts records."""
        known = self._subscription.client.mart.registry.receiving(self._subscription.uid)
        return known is None or known.enabled

    def _configure(self, configuration: dict[str, Any]) -> None:
        registry = self._subscription.client.mart.registry
        registry.configure(self._subscription.uid, PAYLOAD_LOGGING, configuration)


def struct_of(schema: ModelSchema) -> dict[str, Any]:
    """The payload table of a model schema as OpenScale describes it, without paylog's own columns."""
    roles = _ROLES | {field.name: field.role.value for field in schema.fields}
    shown = [column for column in schema.columns if not column.name.startswith("_")]
    return {"type": "struct", "fields": [_field(column, roles.get(column.name)) for column in shown]}


def _field(column: Column, role: str | None) -> dict[str, Any]:
    kind = _TYPE_NAMES[column.arrow_type]
    metadata = {} if role is None else {"modeling_role": role}
    return {"name": column.name, "type": kind, "nullable": column.nullable, "metadata": metadata}
