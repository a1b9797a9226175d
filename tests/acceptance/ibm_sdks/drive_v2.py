"""Runs in an environment of its own with ``ibm-watson-openscale`` 3.1.11.

Arguments: phase (store, delete), then a JSON file with what to use. Prints one JSON line at the end.
"""

import io
import json
import sys
from pathlib import Path

from ibm_cloud_sdk_core.authenticators import BearerTokenAuthenticator
from ibm_watson_openscale import APIClient
from ibm_watson_openscale.base_classes.watson_open_scale_v2 import (
    Asset,
    AssetDeploymentRequest,
    AssetPropertiesRequest,
    DatabaseConfigurationRequest,
    LocationSchemaName,
    PrimaryStorageCredentialsLong,
)
from ibm_watson_openscale.supporting_classes.payload_record import PayloadRecord

phase, settings = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
client = APIClient(
    authenticator=BearerTokenAuthenticator(bearer_token=settings["credentials"]["apikey"]),
    service_url=settings["credentials"]["url"],
    service_instance_id=settings["credentials"]["instance_guid"],
)


def store() -> dict:
    configuration = DatabaseConfigurationRequest(
        database_type="postgresql",
        credentials=PrimaryStorageCredentialsLong(hostname="h", username="u", password="p", db="d", port=1),
        location=LocationSchemaName(schema_name=settings["schema"]),
    )
    mart = client.data_marts.add(name="dm", database_configuration=configuration).result.metadata.id
    provider = client.service_providers.add(
        name="custom",
        service_type="custom_machine_learning",
        credentials={},
        operational_space_id="production",
    ).result.metadata.id
    subscription = client.subscriptions.add(
        data_mart_id=mart,
        service_provider_id=provider,
        asset=Asset(
            asset_id="credit",
            name="credit",
            url="",
            asset_type="model",
            input_data_type="structured",
            problem_type="binary",
        ),
        deployment=AssetDeploymentRequest(
            deployment_id="credit-deployment", name="credit", deployment_type="online"
        ),
        asset_properties=AssetPropertiesRequest(
            label_column="Risk",
            prediction_field="prediction",
            probability_fields=["probability"],
            feature_fields=["Age", "Sex"],
            categorical_fields=["Sex"],
        ),
    ).result.metadata.id
    found = client.data_sets.list(
        type="payload_logging", target_target_id=subscription, target_target_type="subscription"
    )
    data_set = found.result.data_sets[0].metadata.id
    records = [PayloadRecord(**record) for record in settings["records"]]
    client.data_sets.store_records(data_set_id=data_set, request_body=records)
    client.data_sets.store_records(data_set_id=data_set, request_body=records)
    client.data_sets.store_records(
        data_set_id=data_set,
        request_body=io.BufferedReader(io.BytesIO(settings["csv"].encode())),
        header=True,
        delimiter=",",
        csv_max_line_length=8196,
    )
    page = client.data_sets.get_list_of_records(data_set_id=data_set, limit=1000).result
    filtered = client.data_sets.get_list_of_records(data_set_id=data_set, format="list", filter="Age:gt:42")
    return {
        "subscription": subscription,
        "binding": provider,
        "mart": mart,
        "count": client.data_sets.get_records_count(data_set),
        "read": len(page["records"]),
        "filtered": len(filtered.result["records"][0]["values"]),
    }


def delete() -> dict:
    client.subscriptions.delete(settings["subscription"])
    client.service_providers.delete(settings["binding"])
    client.data_marts.delete(settings["mart"], force=True)
    return {"deleted": client.data_marts.list().result.data_marts == []}


print(json.dumps({"store": store, "delete": delete}[phase]()))
