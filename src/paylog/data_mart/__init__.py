"""The data mart: PostgreSQL with payload tables, ledger, quarantine, receipts and watermarks."""

from paylog.data_mart.data_mart import DataMart
from paylog.data_mart.load import Load
from paylog.data_mart.object_load import ObjectLoad
from paylog.data_mart.payload_records import StoredCount
from paylog.data_mart.plans import PlannedBatch
from paylog.data_mart.quarantine import QuarantinedRecord
from paylog.data_mart.training_checks import StoredCheck, StoredProfile
from paylog.data_mart.training_findings import StoredFinding
from paylog.data_mart.watermark import Watermark

__all__ = [
    "DataMart",
    "Load",
    "ObjectLoad",
    "PlannedBatch",
    "QuarantinedRecord",
    "StoredCheck",
    "StoredCount",
    "StoredFinding",
    "StoredProfile",
    "Watermark",
]
