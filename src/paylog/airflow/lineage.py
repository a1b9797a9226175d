"""OpenLineage: which payload table a batch went to, from which logs, with rows and bytes.

Sent as an event of the task that loads, through Airflow's OpenLineage provider (``paylog[openlineage]``);
without the provider, or while it is not configured, nothing is.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paylog.connections import Connection
    from paylog.records import Receipt
    from paylog.subscription import Subscription

log = logging.getLogger(__name__)


def report_batch(subscription: Subscription, receipt: Receipt) -> None:
    """Tell what a committed batch read and wrote. Never raises: the batch is loaded, come what may."""
    if find_spec("airflow.providers.openlineage") is None:
        return
    from airflow.providers.openlineage import conf

    if conf.is_disabled():
        return
    from airflow.providers.openlineage.api import emit_dataset_lineage

    try:
        inputs, outputs = [logs_dataset(subscription, receipt)], [table_dataset(subscription, receipt)]
    except Exception as error:
        log.warning("%s: no lineage is sent: %s", subscription.id, type(error).__name__)
    else:
        emit_dataset_lineage(inputs=inputs, outputs=outputs)


def logs_dataset(subscription: Subscription, receipt: Receipt) -> Any:
    """The folder of the subscription's logs, one data set however many objects; what the batch read of it."""
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

    from paylog.connections import resolve

    logs = subscription.logs
    place = _place(resolve(logs.connection), logs.bucket or "", logs.prefix.rstrip("/"))
    read = statistics.InputStatisticsInputDatasetFacet(
        rowCount=receipt.counts.read, size=receipt.bytes, fileCount=receipt.objects
    )
    return InputDataset(place.get_namespace(), place.get_name(), inputFacets={"inputStatistics": read})


def table_dataset(subscription: Subscription, receipt: Receipt) -> Any:
    """The payload table, and what the batch put into it."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics
    from openlineage.client.naming.dataset import Postgres

    from paylog.connections import resolve
    from paylog.data_mart.payload_table import payload_table_name

    mart = subscription.data_mart
    connection = resolve(mart.connection)
    host = str(connection.extra.get("host") or connection.host)
    if host.startswith("/") or not host:
        host = "localhost"  # a socket's folder
    port = str(connection.port or 5432)
    table = Postgres(host, port, connection.schema, mart.schema_name, payload_table_name(subscription.id))
    written = statistics.OutputStatisticsOutputDatasetFacet(rowCount=receipt.counts.loaded)
    return OutputDataset(table.get_namespace(), table.get_name(), outputFacets={"outputStatistics": written})


def _place(connection: Connection, bucket: str, key: str) -> Any:
    """The folder by OpenLineage's naming rules (https://openlineage.io/docs/spec/naming)."""
    from openlineage.client.naming.dataset import GCS, S3, WASBS, LocalFileSystem

    match connection.conn_type:
        case "ibm_cos" | "aws":
            return S3(bucket, key or "/")
        case "google_cloud_platform":
            return GCS(bucket, key or "/")
        case "wasb":
            from paylog.storage.azure_account import azure_account

            return WASBS(bucket, azure_account(connection)["account_name"], key or "/")
    root = str(connection.extra.get("path") or connection.host)
    return LocalFileSystem(f"{root.rstrip('/')}/{key}".rstrip("/") or "/")
