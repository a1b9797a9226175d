"""What paylog tells Airflow about itself: connection types with their forms, and the ``[paylog]`` section."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": ["string", "null"]}
_SECRET = {"type": ["string", "null"], "format": "password"}

_IBM_COS: dict[str, Any] = {
    "connection-type": "ibm_cos",
    "hook-class-name": "paylog.airflow.hooks.IbmCosHook",
    "hook-name": "IBM Cloud Object Storage (paylog)",
    "conn-fields": {
        "endpoint_url": {
            "label": "Endpoint URL",
            "schema": _TEXT,
            "description": "For example https://s3.eu-de.cloud-object-storage.appdomain.cloud; "
            "any S3-compatible store works.",
        },
        "region": {"label": "Region", "schema": _TEXT, "description": "Only if the store asks for one."},
        "api_key": {
            "label": "IBM Cloud API key",
            "schema": _SECRET,
            "description": "IAM instead of HMAC: leave the access key fields empty.",
        },
        "service_instance_id": {
            "label": "Service instance id",
            "schema": _TEXT,
            "description": "CRN of the Cloud Object Storage instance (IAM only).",
        },
        "auth_endpoint": {
            "label": "IAM token endpoint",
            "schema": _TEXT,
            "description": "Default: IBM Cloud's public one (IAM only).",
        },
    },
    "ui-field-behaviour": {
        "hidden-fields": ["host", "schema", "port"],
        "relabeling": {"login": "HMAC access key id", "password": "HMAC secret access key"},
        "placeholders": {},
    },
}

_IBM_DB2: dict[str, Any] = {
    "connection-type": "ibm_db2",
    "hook-class-name": "paylog.airflow.hooks.IbmDb2Hook",
    "hook-name": "IBM Db2 (paylog)",
    "conn-fields": {
        "ssl": {
            "label": "TLS",
            "schema": {"type": ["boolean", "null"]},
            "description": "Db2 on Cloud needs it.",
        },
        "certificate_base64": {
            "label": "Certificate",
            "schema": _TEXT,
            "description": "Of the server or its authority: PEM, or base64 of it, as IBM Cloud gives it.",
        },
        "dsn": {
            "label": "Connection string",
            "schema": _SECRET,
            "description": "DATABASE=…;HOSTNAME=…;PORT=…;UID=…;PWD=…; instead of the fields above.",
        },
        "uri": {
            "label": "URI",
            "schema": _SECRET,
            "description": "db2://user:password@host:port/DATABASE instead of the fields above.",
        },
        "authentication": {
            "label": "Authentication",
            "schema": _TEXT,
            "description": "Only if the server asks for one: SERVER, SERVER_ENCRYPT …",
        },
    },
    "ui-field-behaviour": {
        "hidden-fields": [],
        "relabeling": {"schema": "Database"},
        "placeholders": {"port": "50000, with TLS 50001"},
    },
}

_OPENSCALE: dict[str, Any] = {
    "connection-type": "paylog_openscale",
    "hook-class-name": "paylog.airflow.hooks.OpenScaleHook",
    "hook-name": "Watson OpenScale (paylog)",
    "conn-fields": {
        "instance_id": {
            "label": "Instance id",
            "schema": _TEXT,
            "description": "GUID of the OpenScale instance, which is the data mart's id too.",
        },
        "auth": {
            "label": "Authentication",
            "schema": _TEXT,
            "description": "iam (IBM Cloud), cp4d (Cloud Pak for Data: user with password or API key), "
            "preauth (paylog serve, old private instances) or bearer. Left out: what the other fields suit.",
        },
        "apikey": {
            "label": "API key",
            "schema": _SECRET,
            "description": "IBM Cloud API key; with a user: the user's key in Cloud Pak for Data.",
        },
        "token": {"label": "Token", "schema": _SECRET, "description": "A bearer token, used as it is."},
        "iam_url": {
            "label": "IAM address",
            "schema": _TEXT,
            "description": "Default: IBM Cloud's public one.",
        },
        "ca_file": {
            "label": "CA file",
            "schema": _TEXT,
            "description": "Certificates (PEM) to verify the service by, on every worker. "
            "Default: those that Python trusts.",
        },
    },
    "ui-field-behaviour": {
        "hidden-fields": ["schema"],
        "relabeling": {"host": "Address", "login": "User", "password": "Password or API key"},
        "placeholders": {"host": "https://api.aiopenscale.cloud.ibm.com"},
    },
}

_FOLDER: dict[str, Any] = {
    "connection-type": "paylog_folder",
    "hook-class-name": "paylog.airflow.hooks.FolderHook",
    "hook-name": "Folder of scoring logs (paylog)",
    "conn-fields": {
        "path": {
            "label": "Folder",
            "schema": _TEXT,
            "description": "Absolute path of the root folder, readable by every Airflow worker.",
        },
    },
    "ui-field-behaviour": {
        "hidden-fields": ["host", "schema", "port", "login", "password"],
        "relabeling": {},
        "placeholders": {},
    },
}

_CONFIG: dict[str, Any] = {
    "paylog": {
        "description": "How paylog's DAGs run.",
        "options": {
            "load_pool": {
                "description": "Pool that bounds how many batches load at once, over all subscriptions. "
                "The scheduler creates it when it starts, if it is not there.",
                "version_added": "0.1.0",
                "type": "string",
                "example": None,
                "default": "paylog_load",
            },
            "load_slots": {
                "description": "Slots of a pool that the scheduler creates. An existing one is left alone.",
                "version_added": "0.1.0",
                "type": "integer",
                "example": None,
                "default": "4",
            },
        },
    }
}


def get_provider_info() -> dict[str, Any]:
    """Provider metadata, valid against Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "paylog",
        "name": "paylog",
        "description": "Payload logging for models served outside IBM Watson Machine Learning.",
        "integrations": [{"integration-name": "paylog", "tags": ["software"]}],
        "hooks": [{"integration-name": "paylog", "python-modules": ["paylog.airflow.hooks"]}],
        "connection-types": [_IBM_COS, _IBM_DB2, _OPENSCALE, _FOLDER],
        "config": _CONFIG,
    }
