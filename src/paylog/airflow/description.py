"""What a person reads in the Airflow UI: labels, and the DAG's description."""

from __future__ import annotations

from datetime import time, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paylog.data_mart import StoredCheck
    from paylog.layout import Window
    from paylog.plan import Plan
    from paylog.preview import Preview
    from paylog.records import Counts
    from paylog.replay import ReplayReceipt
    from paylog.run_receipt import RunReceipt
    from paylog.subscription import Subscription
    from paylog.training_data import Finding

_DELIVER = "**deliver** posts what is loaded to Watson OpenScale; its label: rows confirmed, failed, open. "
_FATES = ("loaded", "duplicate", "rejected", "filtered", "pending")


def counts_label(counts: Counts) -> str:
    """``5,940 loaded, 60 rejected``: what became of the rows, without the zeros."""
    return ", ".join(_fates(counts)) or "nothing new"


def plan_label(planned: Plan) -> str:
    """``2024-01-19 · 72 objects in 3 batches · 12 already loaded``."""
    known = f" · {planned.already_loaded:,} already loaded" if planned.already_loaded else ""
    work = f"{planned.objects:,} objects in {len(planned.batches):,} batches"
    return f"{window_label(planned.window)} · {work}{known}"


def preview_label(seen: Preview) -> str:
    """``plan only · 2024-01-19 · 72 objects in 3 batches · about 6,000 records in 2 s · sample: …``."""
    return " · ".join(["plan only", plan_label(seen.plan), seen.estimate(), *seen.verdict()[:1]])


def preview_text(seen: Preview) -> str:
    """All of a preview, as the XCom page shows text: without line breaks."""
    kinds = ("new", "changed", "growing", "again", "already_loaded", "too_young", "late")
    counts = [f"{getattr(seen.plan, kind):,} {kind.replace('_', ' ')}" for kind in kinds]
    work = f"{seen.plan.objects:,} objects in {len(seen.plan.batches):,} batches"
    size = f"{work}, {seen.plan.bytes / 1e6:,.1f} MB"
    estimate = f"{seen.estimate()} ({seen.forecast.basis})"
    parts = [window_label(seen.plan.window), size, ", ".join(counts), estimate, *seen.verdict()]
    return " · ".join(" ".join(part.split()) for part in parts)


def receipt_label(receipt: RunReceipt) -> str:
    """``2024-01-19 · 6,000 read = 5,940 loaded + 60 rejected · balanced``."""
    counts = receipt.counts
    account = f"{counts.read:,} read = {' + '.join(_fates(counts))}" if counts.read else "nothing new"
    verdict = "balanced" if counts.balanced else "NOT BALANCED"
    delivered = [receipt.delivery.as_text()] if receipt.delivery else []
    return " · ".join([window_label(receipt.window), account, *_judged(receipt), *delivered, verdict])


def _judged(receipt: RunReceipt) -> list[str]:
    """What the receipt says of the training data, where the subscription has some."""
    if receipt.training_data is None:
        return []
    found = len(receipt.rows_by_finding)
    unlike = f"{found} finding{'s' if found != 1 else ''} on the payload"
    return [f"training data {receipt.training_data.state}", *([unlike] if found else [])]


def check_label(check: StoredCheck) -> str:
    """``5,000 rows · 1 warning: DUPLICATE_ROWS``."""
    rows = "not read" if check.rows is None else f"{check.rows:,} rows"
    groups = {
        severity: check.severe(severity) for severity in dict.fromkeys(f.severity for f in check.findings)
    }
    parts = [
        f"{len(found)} {severity.value}{'s' if len(found) > 1 else ''}: {', '.join(f.code for f in found)}"
        for severity, found in groups.items()
    ]
    return " · ".join([rows, *(parts or ["passed"])])


def finding_label(finding: Finding) -> str:
    """``warning · CONSTANT_FEATURE Telephone · expected …, found …``."""
    where = f" {finding.column}" if finding.column else ""
    said = f"expected {finding.expected}, found {finding.found}"
    return f"{finding.severity.value} · {finding.code}{where} · {said} · {finding.remedy}"


def receipt_text(receipt: RunReceipt) -> str:
    """All of the receipt, with the rejects by reason, as the XCom page shows text: without line breaks."""
    return " · ".join(" ".join(line.split()) for line in receipt.as_text().splitlines())


def replay_label(receipt: ReplayReceipt) -> str:
    """``41 rows tried again · 38 loaded · 3 rejected``."""
    left = sum(receipt.left.values())
    parts = [f"{receipt.replayed:,} rows tried again", *_fates(receipt.receipt.counts)]
    return " · ".join([*parts, f"{left:,} records left open"] if left else parts)


def replay_text(receipt: ReplayReceipt) -> str:
    """All of the receipt of a replay, without line breaks."""
    return " · ".join(" ".join(line.split()) for line in receipt.as_text().splitlines())


def window_label(window: Window) -> str:
    """``2024-01-19`` or ``2024-01-19 to 2024-01-21`` for whole UTC days, else with the hours."""
    start, end = window.start, window.end
    if start.time() == end.time() == time():
        last = end - timedelta(days=1)
        return f"{start:%Y-%m-%d}" if start == last else f"{start:%Y-%m-%d} to {last:%Y-%m-%d}"
    until = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} to {until} UTC"


def _fates(counts: Counts) -> list[str]:
    return [f"{getattr(counts, fate):,} {fate}" for fate in _FATES if getattr(counts, fate)]


def dag_description(subscription: Subscription) -> str:
    """The DAG's documentation panel, in Markdown. Names connections, never what is in them."""
    rows = [
        ("Deployment", subscription.deployment.name or subscription.deployment.id),
        ("Service provider", subscription.service_provider),
        ("Scoring logs", _logs(subscription)),
        (
            "Data mart",
            f"connection `{subscription.data_mart.connection}`, schema "
            f"`{subscription.data_mart.schema_name}`",
        ),
        ("Error budget", _budget(subscription)),
        ("Training data", _training_data(subscription)),
        ("Delivered to", _service(subscription)),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return (
        f"### Payload records of `{subscription.id}`\n\n| | |\n|---|---|\n{table}\n\n"
        "**plan** lists the window's capture objects and leaves out what the ledger has. "
        "**ingest** loads one batch per task, each in one transaction. "
        f"{_DELIVER if subscription.deliver else ''}"
        "**reconcile** checks every receipt against the payload table. Its label in the list of "
        "tasks is the receipt in short; its XCom `receipt`, and the asset event, hold all of it.\n\n"
        "Clearing and rerunning any task is safe: it ends in the same table. To load a range of any length, "
        "trigger one run with a window; it takes the backfill pool, behind scheduled runs."
    )


def training_data_description(subscription: Subscription, payload_dag: str) -> str:
    """The documentation panel of the training data's DAG, in Markdown."""
    return (
        f"### Training data of `{subscription.id}`\n\n| | |\n|---|---|\n"
        f"| Lives in | {_training_data(subscription)} |\n"
        f"| Payload records | DAG `{payload_dag}` |\n\n"
        "**check** reads it once, keeps its profile in the data mart and holds it against the model schema; "
        "its label says how that went. **finding** has one instance for each finding, with what was "
        "expected, what was found and what to do as its label; an error makes the run fail. "
        "XCom `check` of **check**, and the asset event, hold all of it.\n\n"
        f"The same from the command line: `paylog training check {subscription.id}`."
    )


def replay_description(subscription: Subscription, payload_dag: str) -> str:
    """The documentation panel of the replay's DAG, in Markdown."""
    return (
        f"### Replay of `{subscription.id}`\n\n"
        f"Records that DAG `{payload_dag}` put in quarantine are loaded again, after the model schema, or "
        "whatever else was wrong, is mended: the same path and the same ids as a first load. A record that "
        "loads is closed with its outcome; one that is rejected again stays, with its new reason. Trigger it "
        "with a reason, a window or neither. Running it twice does nothing twice.\n\n"
        f"The same from the command line: `paylog replay {subscription.id}`."
    )


def _training_data(subscription: Subscription) -> str:
    where: Any = subscription.training_data
    if where is None:
        return "none declared"
    if where.type == "db2":
        place = ".".join(part for part in (where.schema_name, where.table) if part)
    else:
        place = "/".join(part.strip("/") for part in (where.bucket, where.object or where.prefix) if part)
    required = ", required before loading" if subscription.require else ""
    return f"connection `{where.connection}`, `{place}` ({where.type}){required}"


def _service(subscription: Subscription) -> str:
    deliver: Any = subscription.deliver
    if deliver is None:
        return "no service"
    target = (
        f"data set `{deliver.data_set}`" if deliver.data_set else f"subscription `{deliver.subscription}`"
    )
    return f"Watson OpenScale, connection `{deliver.connection}`, {target} ({deliver.api})"


def _logs(subscription: Subscription) -> str:
    logs: Any = subscription.logs
    place = "/".join(part.strip("/") for part in (logs.bucket or "", logs.prefix or "") if part)
    return f"connection `{logs.connection}`, `{place or '.'}`"


def _budget(subscription: Subscription) -> str:
    budget: Any = subscription.error_budget
    parts = []
    if budget.count is not None:
        parts.append(f"{budget.count:,} rejected rows a batch")
    if budget.share is not None:
        parts.append(f"{budget.share:.1%} of a batch's rows")
    return " and ".join(parts) or "none: any number of rejects is kept in quarantine"
