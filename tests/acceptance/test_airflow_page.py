"""paylog's page, Airflow's grid and its trigger form, in headless Chromium against the real Airflow.

``PAYLOG_SCREENSHOTS=docs/images`` keeps the pictures of the documentation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import page_site
import pytest
from browser import Browser
from page_site import BRITTLE, BROKEN, CANARY, DAY, GOOD, LACKING, OPERATED
from playwright.sync_api import FrameLocator, Page, expect

from paylog.testing.airflow_api import FINISHED, AirflowApi
from paylog.testing.demo_logs import DAYS
from paylog.testing.operated_year import OVER_BUDGET, REASONS
from paylog.testing.stack import Stack

BRITTLE_DAG, REPLAY_DAG, CHURN_DAG = f"paylog__{BRITTLE}", f"paylog_replay__{BRITTLE}", "paylog__churn"
WINDOW = {"window_start": DAY.isoformat(), "window_end": (DAY + timedelta(days=1)).isoformat()}


@pytest.fixture(scope="module")
def browser(stack: Stack, airflow: AirflowApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, with the site that it looks at in place."""
    page_site.write_logs(stack.object_store.client)
    page_site.write_year(stack)
    wanted = {BRITTLE_DAG, REPLAY_DAG, f"paylog__{OPERATED}"}
    stack.wait(lambda: wanted <= airflow.dags(), what="the DAGs to be parsed")
    airflow.unpause(BRITTLE_DAG)
    pictures = os.environ.get("PAYLOG_SCREENSHOTS") or tmp_path_factory.mktemp("pictures")
    with Browser(stack.airflow.url, stack.airflow.users, Path(pictures)) as started:
        yield started
    assert started.strangers == set()
    assert [line for line in started.complaints if "Content Security Policy" in line] == []


def finished(stack: Stack, airflow: AirflowApi, dag_id: str, run_id: str) -> str:
    stack.wait(lambda: airflow.run(dag_id, run_id)["state"] in FINISHED, what=run_id)
    return str(airflow.run(dag_id, run_id)["state"])


def open_page(page: Page, name: str) -> FrameLocator:
    """The page of a subscription, inside Airflow's frame."""
    page.goto(f"/plugin/paylog/paylog/subscription/{name}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("main")).to_have_attribute("aria-busy", "false")
    return frame


def pick_moment(page: Page, name: str, date: str) -> None:
    """Fill a moment of the trigger form."""
    row = page.get_by_role("dialog").get_by_test_id("datetime-input")
    row.nth(["Window start", "Window end"].index(name) + 1).click()
    inputs = page.locator(".chakra-popover__content[data-state=open] input")
    inputs.nth(-2).fill(date)
    inputs.nth(-1).fill("00:00")
    inputs.nth(-1).press("Enter")
    page.get_by_role("heading", name="Trigger Dag").click()
    expect(inputs).to_have_count(0)


@pytest.mark.timeout(240)
def test_the_form_starts_a_range_run_whose_tasks_have_readable_names(
    stack: Stack, airflow: AirflowApi, browser: Browser
) -> None:
    page = browser.page("admin")
    page.goto(f"/dags/{CHURN_DAG}")
    before = {run["dag_run_id"] for run in airflow.get(f"/dags/{CHURN_DAG}/dagRuns")["dag_runs"]}
    page.get_by_role("button", name="Trigger").first.click()
    expect(page.get_by_role("dialog").get_by_text("Window start")).to_be_visible()
    pick_moment(page, "Window start", f"{DAYS[1]:%Y/%m/%d}")
    pick_moment(page, "Window end", f"{DAYS[2]:%Y/%m/%d}")
    page.locator("[name=element_batch_mb]").fill("1")
    browser.picture(page, "trigger-form")
    page.get_by_role("dialog").get_by_role("button", name="Trigger", exact=True).click()

    def started() -> set[str]:
        return {run["dag_run_id"] for run in airflow.get(f"/dags/{CHURN_DAG}/dagRuns")["dag_runs"]} - before

    stack.wait(lambda: bool(started()), what="the run that the form starts")
    (run_id,) = started()
    assert finished(stack, airflow, CHURN_DAG, run_id) == "success"
    receipt = airflow.xcom(CHURN_DAG, run_id, "reconcile")
    assert receipt["window"] == [DAYS[1].isoformat(), DAYS[2].isoformat()]

    page.goto(f"/dags/{CHURN_DAG}/runs/{quote(run_id, safe='')}/tasks/ingest/mapped")
    names = page.get_by_role("link", name=re.compile(r"2024-03-05 .* objects · .* → [\d,]+ loaded"))
    expect(names).to_have_count(2)


@pytest.mark.timeout(300)
def test_a_failure_is_shown_with_its_reason_and_then_its_recovery(
    stack: Stack, airflow: AirflowApi, browser: Browser
) -> None:
    run_id = airflow.trigger(BRITTLE_DAG, conf=WINDOW)
    assert finished(stack, airflow, BRITTLE_DAG, run_id) == "failed"
    page = browser.page("admin")
    frame = open_page(page, BRITTLE)
    frame.locator(f'[data-day="{DAY:%Y-%m-%d}"]').click()
    detail = frame.locator(".day-detail")
    expect(detail).to_contain_text("Failed")
    expect(detail).to_contain_text(f"over its error budget: NULL_VALUE {LACKING}")
    browser.picture(page, "page-failed")
    detail.get_by_role("link", name="run").first.click()
    expect(page).to_have_url(re.compile(f"/dags/{BRITTLE_DAG}/runs/"))

    page_site.write_brittle(stack.subscriptions, share=0.5)
    airflow.post(f"/dags/{BRITTLE_DAG}/dagRuns/{quote(run_id, safe='')}/clear", {"dry_run": False})
    assert finished(stack, airflow, BRITTLE_DAG, run_id) == "success"
    frame = open_page(page, BRITTLE)
    expect(frame.locator(f'[data-day="{DAY:%Y-%m-%d}"]')).to_have_class(re.compile("complete"))
    frame.get_by_role("button", name=re.compile("NULL_VALUE")).click()
    drill = frame.locator("#quarantine .detail")
    expect(drill.locator("tbody tr")).to_have_count(LACKING)
    expect(drill.locator("tbody tr").first).to_contain_text("scored.jsonl")
    expect(drill.locator("tbody tr").first).to_contain_text("Age")
    browser.picture(page, "page-quarantine")

    page_site.write_brittle(stack.subscriptions, share=0.5, age_required=False)
    replayed = airflow.trigger(REPLAY_DAG)
    assert finished(stack, airflow, REPLAY_DAG, replayed) == "success"
    frame = open_page(page, BRITTLE)
    cell = frame.locator(f'[data-day="{DAY:%Y-%m-%d}"]')
    expect(cell).to_have_attribute("aria-label", re.compile(rf"{GOOD + LACKING} loaded, {BROKEN} rejected"))
    expect(frame.get_by_role("button", name=re.compile("NULL_VALUE"))).to_have_count(0)
    expect(frame.locator("#quarantine")).to_contain_text(f"{LACKING} rows left quarantine by a replay")


def test_a_task_links_to_the_page_and_a_dag_has_it_as_a_tab(airflow: AirflowApi, browser: Browser) -> None:
    run = airflow.get(f"/dags/{BRITTLE_DAG}/dagRuns")["dag_runs"][-1]["dag_run_id"]
    page = browser.page("viewer")
    page.goto(f"/dags/{BRITTLE_DAG}/runs/{quote(run, safe='')}/tasks/plan/details")
    page.get_by_role("link", name="Payload page").click()
    expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_contain_text(BRITTLE)
    page.goto(f"/dags/{BRITTLE_DAG}")
    page.get_by_role("link", name="Payload").last.click()
    expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_contain_text(BRITTLE)


def test_a_year_is_shown_and_reached_by_the_keyboard(browser: Browser) -> None:
    page = browser.page("viewer")
    page.goto("/plugin/paylog")
    overview = page.frame_locator("iframe")
    expect(overview.get_by_role("link", name=OPERATED)).to_be_visible()
    browser.picture(page, "page-overview")
    overview.get_by_role("link", name=OPERATED).press("Enter")
    frame = page.frame_locator("iframe")
    expect(frame.locator(".calendar .day.failed")).to_have_count(1)
    expect(frame.locator(".calendar .day.missing")).to_have_count(2)
    expect(frame.locator(".banner")).to_contain_text(REASONS[1])
    browser.picture(page, "page")
    newest = frame.locator('.calendar .day[tabindex="0"]')
    newest.focus()
    for _ in range(OVER_BUDGET):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(frame.locator(".day-detail")).to_contain_text(f"over its error budget: {REASONS[1]}")


def test_it_follows_airflows_theme_and_fits_a_narrow_window(browser: Browser) -> None:
    page = browser.page("viewer", theme="dark")
    frame = open_page(page, OPERATED)
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    browser.picture(page, "page-dark")
    page.evaluate("localStorage.setItem('theme', 'light')")
    expect(frame.locator("html")).to_have_attribute("data-theme", "light")
    narrow = browser.page("viewer", width=420)
    narrow.goto(f"/paylog/subscription/{OPERATED}")
    expect(narrow.locator("main")).to_have_attribute("aria-busy", "false")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 420
    wide = browser.page("viewer", width=1920)
    open_page(wide, OPERATED)
    assert wide.evaluate("document.documentElement.scrollWidth") <= 1920


def test_values_are_for_those_who_may_edit_where_they_are_switched_on(browser: Browser) -> None:
    frame = open_page(browser.page("admin"), BRITTLE)
    frame.get_by_role("button", name=re.compile("MALFORMED_JSON")).click()
    frame.locator("#quarantine").get_by_role("button", name="Show").first.click()
    expect(frame.locator("#quarantine pre")).to_contain_text(CANARY)
    frame = open_page(browser.page("viewer"), BRITTLE)
    frame.get_by_role("button", name=re.compile("MALFORMED_JSON")).click()
    expect(frame.locator("#quarantine tbody tr")).to_have_count(BROKEN)
    expect(frame.locator("#quarantine").get_by_role("button", name="Show")).to_have_count(0)
