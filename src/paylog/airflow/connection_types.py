"""The connection types of Airflow's form that hold scoring logs and training data."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

_TEXT = {"type": ["string", "null"]}
_SECRET = {"type": ["string", "null"], "format": "password"}


def _field(label: str, description: str = "", schema: dict[str, Any] = _TEXT) -> dict[str, Any]:
    return {"label": label, "schema": schema} | ({"description": description} if description else {})


_ALLOW_HTTP = _field(
    "Allow http://",
    "Without TLS, credentials and records travel in the clear: only in a private network. "
    "This machine's own addresses need no permission.",
    {"type": ["boolean", "null"]},
)


def _type(
    name: str,
    hook: str,
    title: str,
    fields: dict[str, Any],
    hidden: list[str],
    labels: dict[str, str],
    placeholders: dict[str, str] | None = None,
) -> dict[str, Any]:
    return {
        "connection-type": name,
        "hook-class-name": f"paylog.airflow.hooks.{hook}",
        "hook-name": title,
        "conn-fields": fields,
        "ui-field-behaviour": {
            "hidden-fields": hidden,
            "relabeling": labels,
            "placeholders": placeholders or {},
        },
    }


_OURS = [
    _type(
        "ibm_cos",
        "IbmCosHook",
        "IBM Cloud Object Storage (paylog)",
        {
            "endpoint_url": _field(
                "Endpoint URL",
                "For example https://s3.eu-de.cloud-object-storage.appdomain.cloud; "
                "any S3-compatible store works.",
            ),
            "region": _field("Region", "Only if the store asks for one."),
            "api_key": _field(
                "IBM Cloud API key", "IAM instead of HMAC: leave the access key fields empty.", _SECRET
            ),
            "service_instance_id": _field(
                "Service instance id", "CRN of the Cloud Object Storage instance (IAM only)."
            ),
            "auth_endpoint": _field("IAM token endpoint", "Default: IBM Cloud's public one (IAM only)."),
            "allow_http": _ALLOW_HTTP,
        },
        ["host", "schema", "port"],
        {"login": "HMAC access key id", "password": "HMAC secret access key"},
    ),
    _type(
        "ibm_db2",
        "IbmDb2Hook",
        "IBM Db2 (paylog)",
        {
            "ssl": _field("TLS", "Db2 on Cloud needs it.", {"type": ["boolean", "null"]}),
            "certificate_base64": _field(
                "Certificate", "Of the server or its authority: PEM, or base64 of it, as IBM Cloud gives it."
            ),
            "dsn": _field(
                "Connection string",
                "DATABASE=…;HOSTNAME=…;PORT=…;UID=…;PWD=…; instead of the fields above.",
                _SECRET,
            ),
            "uri": _field(
                "URI", "db2://user:password@host:port/DATABASE instead of the fields above.", _SECRET
            ),
            "authentication": _field(
                "Authentication", "Only if the server asks for one: SERVER, SERVER_ENCRYPT …"
            ),
        },
        [],
        {"schema": "Database"},
        {"port": "50000, with TLS 50001"},
    ),
    _type(
        "paylog_folder",
        "FolderHook",
        "Folder of scoring logs (paylog)",
        {"path": _field("Folder", "Absolute path of the root folder, readable by every Airflow worker.")},
        ["host", "schema", "port", "login", "password"],
        {},
    ),
    _type(
        "paylog_openscale",
        "OpenScaleHook",
        "Watson OpenScale (paylog)",
        {
            "instance_id": _field(
                "Instance id", "GUID of the OpenScale instance, which is the data mart's id too."
            ),
            "auth": _field(
                "Authentication",
                "iam (IBM Cloud), cp4d (Cloud Pak for Data: user with password or API key), "
                "preauth (paylog serve, old private instances) or bearer. "
                "Left out: what the other fields suit.",
            ),
            "apikey": _field(
                "API key",
                "IBM Cloud API key; with a user: the user's key in Cloud Pak for Data.",
                _SECRET,
            ),
            "token": _field("Token", "A bearer token, used as it is.", _SECRET),
            "iam_url": _field("IAM address", "Default: IBM Cloud's public one."),
            "ca_file": _field(
                "CA file",
                "Certificates (PEM) to verify the service by, on every worker. "
                "Default: those that Python trusts.",
            ),
            "allow_http": _ALLOW_HTTP,
        },
        ["schema"],
        {"host": "Address", "login": "User", "password": "Password or API key"},
        {"host": "https://api.aiopenscale.cloud.ibm.com"},
    ),
]

# Airflow's own types. Where their provider is installed, its form is used; the fields are the same.
_ELSEWHERE = {
    "apache-airflow-providers-amazon": _type(
        "aws",
        "AmazonS3Hook",
        "Amazon Web Services (paylog)",
        {
            "region_name": _field("Region"),
            "role_arn": _field("Role to assume", "ARN; with the keys above or the worker's own role."),
            "profile_name": _field("Profile", "Of the worker's shared credentials file."),
            "endpoint_url": _field("Endpoint URL", "Only for a store that is not Amazon's."),
        },
        ["host", "schema", "port"],
        {"login": "Access key id (empty: the worker's role)", "password": "Secret access key"},
    ),
    "apache-airflow-providers-microsoft-azure": _type(
        "wasb",
        "AzureBlobHook",
        "Azure Blob Storage (paylog)",
        {
            "connection_string": _field("Connection string", schema=_SECRET),
            "sas_token": _field("SAS token", schema=_SECRET),
            "tenant_id": _field("Tenant id", "Login and password are then a service principal's."),
            "managed_identity_client_id": _field("Managed identity's client id"),
        },
        ["schema", "port"],
        {
            "host": "Account URL",
            "login": "Account name, or client id of a service principal",
            "password": "Account key, or client secret",
        },
    ),
    "apache-airflow-providers-google": _type(
        "google_cloud_platform",
        "GoogleCloudStorageHook",
        "Google Cloud (paylog)",
        {
            "key_path": _field("Keyfile path", "On every worker. Empty: the worker's own service account."),
            "keyfile_dict": _field("Keyfile JSON", schema=_SECRET),
        },
        ["host", "schema", "port", "login", "password"],
        {},
    ),
}


def connection_types() -> list[dict[str, Any]]:
    """paylog's own types, and those of Airflow's providers that are not installed here."""
    return [*_OURS, *(form for provider, form in _ELSEWHERE.items() if not _installed(provider))]


def _installed(provider: str) -> bool:
    try:
        distribution(provider)
    except PackageNotFoundError:
        return False
    return True
