"""The documented Python client, over the user's own PostgreSQL: IBM's calls, without the service.

::

    from paylog import APIClient
    client = APIClient(aios_credentials)
    client.data_mart.setup(db_credentials=postgres_credentials, schema="payloads")
    client.data_mart.get_details()

Names and results follow IBM's ``ibm-ai-openscale`` 2.2 (contract sections 1.1 to 1.6).
"""

from paylog.client.api_client import APIClient
from paylog.client.payload_record import PayloadRecord

__all__ = ["APIClient", "PayloadRecord"]
