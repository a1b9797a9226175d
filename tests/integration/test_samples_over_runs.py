"""The cross-engine corpus in a data mart: an object a run, last ones first, and then everything again.

Azure ML, KServe, Seldon and BentoML, whose objects depend on each other or grow, have tests of their own.
"""

from __future__ import annotations

from typing import Any

import pytest
from test_samples import CROSS, LABELS, SAMPLES
from test_samples import RENDERINGS as RECORDS
from test_samples_tables import RENDERINGS as TABLES
from test_samples_tables import types

from paylog.decode import Decoder
from paylog.subscription import Subscription
from paylog.testing.contract import capture_object, declare, together
from paylog.testing.exactly_once.books import ask, assert_balanced
from paylog.testing.exactly_once.runs import run
from paylog.testing.exactly_once.served_model import LOGS, LogFolder

BATCH = {"label": "prediction", "no": "P(No Risk)", "yes": "P(Risk)"}
VERTEX = {"scores": "probability", "classes": "ignore"}
RENDERINGS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: (
            "amazon_sagemaker" if name.startswith("sagemaker") else "custom_machine_learning",
            {"response": response} if response else {},
        )
        for name, response in RECORDS.items()
    },
    **{f"{name} as a file": (provider, more) for name, (provider, _, more) in TABLES.items()},
    "sagemaker/batch": ("amazon_sagemaker_batch", {"response": BATCH}),
    "vertex/request_response_logging.ndjson": ("vertex_ai", {"response": VERTEX}),
}

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")


def subscription(name: str) -> Subscription:
    provider, more = RENDERINGS[name]
    document = declare(provider, types(), LABELS, **more).document()
    document["logs"] |= {"connection": LOGS, "layout": ""}
    return Subscription.model_validate(document)


def objects(name: str) -> dict[str, bytes]:
    """The rendering's objects by key; Hive partitions are part of it."""
    place = CROSS / name.removesuffix(" as a file")
    root = place if place.is_dir() else CROSS / place.relative_to(CROSS).parts[0]
    found = sorted(place.rglob("*.*")) if place.is_dir() else [place]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in found}


def loaded(owner: Subscription) -> dict[str, tuple[Any, ...]]:
    """Rows of the table by scoring id."""
    columns = ", ".join(f'"{name}"' for name in (*types(), "prediction", "probability"))
    rows = ask(f'SELECT scoring_id, scoring_timestamp, {columns} FROM "mart"."Payload_{owner.id}"')
    return {scoring_id: tuple(cells) for scoring_id, *cells in rows}


@pytest.mark.parametrize("name", RENDERINGS)
def test_an_object_a_run_and_everything_twice(name: str, folder: LogFolder) -> None:
    owner, logs = subscription(name), objects(name)
    for key in reversed(logs):
        folder.write(key, logs[key])
        run(owner)
    assert run(owner).counts.read == 0
    assert_balanced(owner)
    decoder = Decoder(owner)
    items = [(capture_object(data, key), data) for key, data in logs.items()]
    wanted = together(decoder, [(item, data) for item, data in items if not decoder.engine.skips(item)])
    names = ("scoring_timestamp", *types(), "prediction", "probability")
    found = loaded(owner)
    assert len(found) == 60
    assert sorted(found.values()) == sorted(tuple(row[n] for n in names) for row in wanted.rows)
