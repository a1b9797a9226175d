"""Runs in an environment of its own with ``ibm-ai-openscale`` 2.2.1: the notebook's calls, unchanged.

Arguments: phase (store, delete), then a JSON file with what to use. Prints one JSON line at the end.
"""

import json
import sys
from pathlib import Path

from ibm_ai_openscale import APIClient
from ibm_ai_openscale.engines import CustomMachineLearningAsset, CustomMachineLearningInstance
from ibm_ai_openscale.supporting_classes import PayloadRecord

phase, settings = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
client = APIClient(settings["credentials"])
mart = client.data_mart


def store() -> dict:
    mart.setup(db_credentials=settings["db_credentials"], schema=settings["schema"])
    mart.setup(db_credentials=settings["db_credentials"], schema=settings["schema"])
    location = mart.get_details()["database_configuration"]["location"]
    instance = CustomMachineLearningInstance({"url": settings["engine"], "username": "u", "password": "p"})
    binding = mart.bindings.add("My engine", instance)
    mart.bindings.list()
    asset = CustomMachineLearningAsset(
        source_uid="credit",
        binding_uid=binding,
        problem_type="binary",
        input_data_type="structured",
        label_column="Risk",
        prediction_column="prediction",
        probability_column="probability",
        feature_columns=["Age", "Sex"],
        categorical_columns=["Sex"],
    )
    subscription = mart.subscriptions.add(asset)
    subscription.payload_logging.enable()
    records = [PayloadRecord(**record) for record in settings["records"]]
    subscription.payload_logging.store(records)
    subscription.payload_logging.store(records)
    subscription.payload_logging.print_table_schema()
    table = subscription.payload_logging.get_table_content(format="python", limit=None)
    subscription.feedback_logging.store([[25, "M", "Risk"]], fields=["Age", "Sex", "Risk"])
    mart.subscriptions.list()
    return {
        "schema": location["schema"],
        "enabled": subscription.payload_logging.get_details()["enabled"],
        "subscription": subscription.uid,
        "binding": binding,
        "count": subscription.payload_logging.get_records_count(),
        "fields": table["fields"],
        "read": len(table["values"]),
    }


def delete() -> dict:
    mart.subscriptions.delete(settings["subscription"])
    mart.bindings.delete(settings["binding"])
    mart.delete()
    return {"deleted": True}


print(json.dumps({"store": store, "delete": delete}[phase]()))
