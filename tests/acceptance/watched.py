"""A subscription with alerts, and what receives mails, metrics and lineage of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shipped import subscription

from paylog.testing.mail_server import MailServer
from paylog.testing.statsd_receiver import StatsdReceiver

OWNERS = ("data@example.com", "operations@example.com")
STRICT, USUAL = "share: 0.0001", "share: 0.05"
_ALERTS = f"""
alerts:
  deadline: 1s
  routes:
    - owners: [{", ".join(OWNERS)}]
      notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier
      arguments: {{smtp_conn_id: mail, from_email: paylog@example.com}}
    - {{}}
"""


class Receivers:
    """What Airflow is told to send to."""

    def __init__(self, mail: MailServer, statsd: StatsdReceiver, folder: Path) -> None:
        self.mail = mail
        self.statsd = statsd
        self._lineage = folder / "lineage.ndjson"

    def connections(self) -> dict[str, dict[str, Any]]:
        plain = {"disable_ssl": True, "disable_tls": True}
        return {"mail": {"conn_type": "smtp", "host": "127.0.0.1", "port": self.mail.port, "extra": plain}}

    def settings(self) -> dict[str, str]:
        """Metrics of all tasks; lineage of one DAG, for it costs each task a process."""
        transport = {"type": "file", "log_file_path": str(self._lineage), "append": True}
        policy = [
            {"scope": {}, "controls": {"emit": False}},
            {"scope": {"dag_id": "paylog__watched"}, "controls": {"emit": True}},
        ]
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_PORT": str(self.statsd.port),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            "AIRFLOW__OPENLINEAGE__EMISSION_POLICY": json.dumps(policy),
        }

    def lineage(self) -> list[dict[str, Any]]:
        """All events so far."""
        return [json.loads(line) for line in self._lineage.read_text().splitlines()]


def write(folder: Path, share: str) -> None:
    """The subscription, from the shipped one, with an error budget."""
    text = subscription("churn", **{"id: churn\n": "id: watched\n", USUAL: share})
    (folder / "watched.yaml").write_text(text + _ALERTS)
