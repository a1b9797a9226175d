"""Every subscription that an engine's page shows is one that ``paylog check`` accepts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paylog.subscription.files import load_subscriptions

PAGES = sorted((Path(__file__).parents[2] / "docs/engines").glob("*.md"))
_YAML = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "index"], ids=lambda page: page.stem)
def test_the_subscription_on_a_page_is_valid(page: Path, tmp_path: Path) -> None:
    shown = [text for text in _YAML.findall(page.read_text()) if "service_provider:" in text]
    assert shown
    for number, text in enumerate(shown):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        (subscription,) = load_subscriptions(file)
        assert subscription.model_schema.arrow_schema
