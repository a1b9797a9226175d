"""IBM's v2 SDK posts payload records; runs in an environment of its own, with ``ibm-watson-openscale``.

Usage: ``python post_v2.py URL INSTANCE API_KEY DATA_SET RECORDS RECORDS_A_CALL MODE FOLDER``: NDJSON files
in the folder. Mode ``wait``: each call waits until its records are stored; ``go``: not.
Prints ``{"records": …, "seconds": …}``: from the first call to the end of the last.
"""

import json
import sys
import time
from pathlib import Path

from ibm_cloud_sdk_core.authenticators import BearerTokenAuthenticator
from ibm_watson_openscale import APIClient
from ibm_watson_openscale.supporting_classes.payload_record import PayloadRecord

url, instance, key, data_set, count, size, mode, folder = sys.argv[1:]
client = APIClient(BearerTokenAuthenticator(bearer_token=key), service_url=url, service_instance_id=instance)
lines = [line for file in sorted(Path(folder).rglob("*.jsonl")) for line in file.read_text().splitlines()]
lines = lines[: int(count)]
names = ("scoring_id", "scoring_timestamp", "request", "response", "response_time")
started = time.perf_counter()
for start in range(0, len(lines), int(size)):
    records = [json.loads(line) for line in lines[start : start + int(size)]]
    body = [PayloadRecord(**{name: record.get(name) for name in names}) for record in records]
    client.data_sets.store_records(data_set_id=data_set, request_body=body, background_mode=mode == "go")
print(json.dumps({"records": len(lines), "seconds": time.perf_counter() - started}))
