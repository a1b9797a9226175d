"""Runs in an environment of its own with ``ibm-ai-openscale`` 2.2.1: the notebook's calls, unchanged.

Arguments: phase (store, delete), then a JSON file with what to use. Prints one JSON line at the end.
"""

import json
import sys
from pathlib import Path

from ibm_ai_openscale import APIClient
from ibm_ai_openscale.engines import CustomMachineLearningAsset, CustomMachineLearningInstance
from ibm_ai_openscale.supporting_classes import Feature, PayloadRecord
from ibm_ai_openscale.utils.client_errors import ClientError

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
        training_data_reference=settings["training_data"],
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
        "monitors": monitors(subscription),
        "schema": location["schema"],
        "enabled": subscription.payload_logging.get_details()["enabled"],
        "subscription": subscription.uid,
        "binding": binding,
        "count": subscription.payload_logging.get_records_count(),
        "fields": table["fields"],
        "read": len(table["values"]),
    }


def monitors(subscription) -> dict:
    """What each monitor's details say after it was enabled, or why it could not be."""
    attribute = Feature("Sex", majority=["M"], minority=["F"], threshold=0.8)
    calls = {
        "fairness": lambda: subscription.fairness_monitoring.enable(
            features=[attribute],
            favourable_classes=["No Risk"],
            unfavourable_classes=["Risk"],
            min_records=10,
        ),
        "quality": lambda: subscription.quality_monitoring.enable(threshold=0.8, min_records=5),
        "explainability": lambda: subscription.explainability.enable(
            training_data_statistics={"explainability_configuration": {"feature_columns": ["Age", "Sex"]}}
        ),
        "drift": lambda: subscription.drift_monitoring.enable(threshold=0.7, min_records=100),
    }
    clients = {
        "fairness": subscription.fairness_monitoring,
        "quality": subscription.quality_monitoring,
        "explainability": subscription.explainability,
        "drift": subscription.drift_monitoring,
    }
    found = {}
    for name, enable in calls.items():
        try:
            enable()
            found[name] = clients[name].get_details()
        except ClientError as error:
            found[name] = str(error)
    clients["drift"].disable()
    return {**found, "drift disabled": not clients["drift"].get_details()["enabled"]}


def delete() -> dict:
    mart.subscriptions.delete(settings["subscription"])
    mart.bindings.delete(settings["binding"])
    mart.delete()
    return {"deleted": True}


print(json.dumps({"store": store, "delete": delete}[phase]()))
