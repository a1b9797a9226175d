"""The notifier that needs nothing: alerts in the log of the task that saw them."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import BaseNotifier

log = logging.getLogger(__name__)


class LogNotifier(BaseNotifier):
    """Writes the message to the task's log, as an error or, when it is resolved, as information.

    :param text: a template.
    """

    template_fields = ("text",)

    def __init__(self, text: str = "{{ alert.text }}") -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        resolved = context["alert"].state == "resolved"
        log.log(logging.INFO if resolved else logging.ERROR, "%s", self.text)
