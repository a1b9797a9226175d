"""Headless Chromium, signed in to Airflow; it notes what it was refused and whom else it asked."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
_SECONDS = 30


class Browser:
    """A context manager.

    :param url: of Airflow.
    :param users: name → password.
    :param pictures: folder for screenshots.
    """

    def __init__(self, url: str, users: dict[str, str], pictures: Path) -> None:
        self._url = url
        self._users = users
        self._pictures = pictures
        self._contexts: dict[tuple[str, str, int], BrowserContext] = {}
        self.strangers: set[str] = set()
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        program = shutil.which("chromium")
        assert program, "The tests of the page need Debian's chromium: apt-get install chromium"
        expect.set_options(timeout=_SECONDS * 1000)
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._chromium.close()
        self._playwright.stop()

    def page(self, user: str, *, theme: str = "light", width: int = 1280) -> Page:
        """A new tab of this user."""
        key = user, theme, width
        if key not in self._contexts:
            self._contexts[key] = self._signed_in(*key)
        page = self._contexts[key].new_page()
        page.on("request", self._asked)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def picture(self, page: Page, name: str) -> None:
        """Keep what is seen now."""
        page.wait_for_timeout(400)
        page.screenshot(path=self._pictures / f"{name}.png")

    def _signed_in(self, user: str, theme: str, width: int) -> BrowserContext:
        login = {"username": user, "password": self._users[user]}
        answer = httpx.post(f"{self._url}/auth/token", json=login, timeout=_SECONDS)
        token = answer.raise_for_status().json()["access_token"]
        made = self._chromium.new_context(base_url=self._url, viewport={"width": width, "height": 900})
        made.set_default_timeout(_SECONDS * 1000)
        made.add_cookies([{"name": "_token", "value": token, "url": self._url}])
        made.add_init_script(f"if (!localStorage.getItem('theme')) localStorage.setItem('theme', '{theme}')")
        return made

    def _asked(self, request: Request) -> None:
        if request.url.startswith("http") and not request.url.startswith(self._url):
            self.strangers.add(urlsplit(request.url).netloc)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)
