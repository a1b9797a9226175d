"""Hooks of paylog's connection types: the Test button of the connection form."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from paylog.airflow.connections import airflow_connection
from paylog.errors import ConfigurationError, PaylogError

if TYPE_CHECKING:
    from paylog.storage import Storage


class CaptureStorageHook(BaseHook):
    """A connection to capture objects; ``get_conn`` gives paylog's :class:`~paylog.storage.Storage`."""

    conn_name_attr = "conn_id"
    default_conn_name = "paylog_logs"
    conn_type = ""
    hook_name = ""

    def __init__(self, conn_id: str = default_conn_name, *, bucket: str = "", prefix: str = "") -> None:
        super().__init__()
        self.conn_id = conn_id
        self.bucket = bucket
        self.prefix = prefix

    def get_conn(self) -> Storage:
        """The storage below ``bucket`` and ``prefix``."""
        from paylog.storage import connect

        return connect(airflow_connection(self.conn_id), self.bucket, self.prefix)

    def test_connection(self) -> tuple[bool, str]:
        """Reach the store with these credentials: ``(reached, what was seen)``."""
        try:
            return True, self._seen()
        except PaylogError as error:
            return False, str(error)

    def _seen(self) -> str:
        raise NotImplementedError


class FolderHook(CaptureStorageHook):
    """Connection type ``paylog_folder``."""

    conn_type = "paylog_folder"
    hook_name = "Folder of scoring logs (paylog)"
    default_conn_name = "paylog_folder_default"

    def _seen(self) -> str:
        return _described(self.get_conn().list(""), "the folder")


class BucketHook(CaptureStorageHook):
    """A connection to an object store."""

    def _seen(self) -> str:
        bucket = self.bucket or airflow_connection(self.conn_id).extra.get("bucket", "")
        if not bucket:
            raise ConfigurationError(
                "To test the connection, name a bucket that it may list in Extra Fields JSON, like "
                '{"bucket": "scoring-logs"}. Subscriptions name their own buckets.'
            )
        self.bucket = bucket
        return _described(self.get_conn().list(""), f"bucket {bucket!r}")


class IbmCosHook(BucketHook):
    """Connection type ``ibm_cos``: IBM COS or any S3-compatible store."""

    conn_type = "ibm_cos"
    hook_name = "IBM Cloud Object Storage (paylog)"
    default_conn_name = "ibm_cos_default"


class AmazonS3Hook(BucketHook):
    """Connection type ``aws``."""

    conn_type = "aws"
    hook_name = "Amazon Web Services (paylog)"
    default_conn_name = "aws_default"


class AzureBlobHook(BucketHook):
    """Connection type ``wasb``."""

    conn_type = "wasb"
    hook_name = "Azure Blob Storage (paylog)"
    default_conn_name = "wasb_default"


class GoogleCloudStorageHook(BucketHook):
    """Connection type ``google_cloud_platform``."""

    conn_type = "google_cloud_platform"
    hook_name = "Google Cloud (paylog)"
    default_conn_name = "google_cloud_default"


class IbmDb2Hook(BaseHook):
    """Connection type ``ibm_db2``: training data in Db2."""

    conn_name_attr = "conn_id"
    default_conn_name = "ibm_db2_default"
    conn_type = "ibm_db2"
    hook_name = "IBM Db2 (paylog)"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def test_connection(self) -> tuple[bool, str]:
        """Sign in to the database: ``(signed in, what was seen)``."""
        from paylog.training_data.db2 import current_schema

        try:
            return True, f"Signed in; the schema is {current_schema(airflow_connection(self.conn_id))!r}."
        except PaylogError as error:
            return False, str(error)


class OpenScaleHook(BaseHook):
    """Connection type ``paylog_openscale``: the Watson OpenScale service that payload is delivered to."""

    conn_name_attr = "conn_id"
    default_conn_name = "paylog_openscale_default"
    conn_type = "paylog_openscale"
    hook_name = "Watson OpenScale (paylog)"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def test_connection(self) -> tuple[bool, str]:
        """Sign in and ask for the data marts: ``(signed in, what was seen)``."""
        from paylog.openscale.service import data_marts

        try:
            found = data_marts(airflow_connection(self.conn_id))
        except PaylogError as error:
            return False, str(error)
        return True, f"Signed in; data marts: {', '.join(found) or 'none'}."


def _described(objects: Iterator[object], place: str) -> str:
    count = sum(1 for _ in islice(objects, 1000))
    return f"Reached {place}: {'1,000 or more' if count == 1000 else count} objects."
