"""Logs of KServe, Seldon and BentoML in a data mart: halves a run late, files that grow, all of it twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from test_samples import CROSS, LABELS, SAMPLES, expected
from test_samples_inference_loggers import RENDERINGS, by_content, types_of

from paylog.run_receipt import RunReceipt
from paylog.subscription import Subscription
from paylog.testing.contract import declare
from paylog.testing.exactly_once.books import ask
from paylog.testing.exactly_once.runs import run, run_until_done
from paylog.testing.exactly_once.served_model import LOGS, LogFolder

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")
LIVE = "data/data.1.log"


def subscription(name: str) -> Subscription:
    provider, _, declared = RENDERINGS[name]
    features = next(iter(expected().values()))["features"]
    document = declare(provider, types_of(features), LABELS, **declared).document()
    document["logs"]["connection"] = LOGS
    return Subscription.model_validate(document)


def files(name: str) -> dict[str, bytes]:
    """The rendering's objects by key."""
    found = sorted((CROSS / name).rglob(RENDERINGS[name][1]))
    return {file.relative_to(CROSS / name).as_posix(): file.read_bytes() for file in found}


def assert_right(owner: Subscription) -> None:
    """The table holds the 60 expected rows, value for value, and nothing waits."""
    features = [field.name for field in owner.model_schema.features]
    columns = ", ".join(f'"{name}"' for name in ("scoring_id", "scoring_timestamp", *features, *OUTPUTS))
    rows = ask(f'SELECT {columns} FROM mart."Payload_{owner.id}"')
    by_id = owner.service_provider != "bentoml"
    wanted = {}
    for key, right in expected().items():
        time = datetime.fromisoformat(right["scoring_timestamp"])
        key = key if by_id else by_content(time, right["features"])
        wanted[key] = (time, right["features"], right["prediction"], right["probability"])
    found: dict[str, Any] = {}
    for scoring_id, time, *cells in rows:
        given = dict(zip(features, cells, strict=False))
        label, vector = cells[len(features) :]
        found[scoring_id if by_id else by_content(time, given)] = (time, given, label, vector)
    assert len(rows) == 60
    assert found == wanted
    assert ask("SELECT count(*) FROM mart.paylog_pending") == [(0,)]


OUTPUTS = "prediction", "probability"


def assert_nothing_to_do(owner: Subscription) -> None:
    """A second run loads nothing and changes nothing."""
    assert run(owner).counts.read == 0
    assert_right(owner)


@pytest.mark.parametrize("name", RENDERINGS)
def test_in_one_run_and_once_more(name: str, folder: LogFolder) -> None:
    for key, data in files(name).items():
        folder.write(key, data)
    owner = subscription(name)
    receipt = run(owner)
    assert receipt.counts.balanced
    assert_right(owner)
    assert_nothing_to_do(owner)


SPLITS: dict[str, Callable[[list[str]], Iterator[list[str]]]] = {
    "responses a run late": lambda keys: (
        [key for key in keys if key.endswith(f"{side}.json")] for side in ("request", "response")
    ),
    "requests a run late": lambda keys: (
        [key for key in keys if key.endswith(f"{side}.json")] for side in ("response", "request")
    ),
    "every third, backwards": lambda keys: (keys[::-1][start::3] for start in range(3)),
}


@pytest.mark.parametrize(
    ("name", "split"), [*(("kserve/v1", split) for split in SPLITS), ("kserve/v2", "requests a run late")]
)
def test_halves_a_run_late(name: str, split: str, folder: LogFolder) -> None:
    owner, objects = subscription(name), files(name)
    receipts: list[RunReceipt] = []
    for keys in SPLITS[split](list(objects)):
        for key in keys:
            folder.write(key, objects[key])
        receipts.append(run(owner))
    assert all(receipt.counts.balanced for receipt in receipts)
    assert sum(receipt.counts.loaded for receipt in receipts) == 60
    assert_right(owner)
    assert_nothing_to_do(owner)


def test_a_caller_who_uses_an_id_twice_overwrites_the_object(folder: LogFolder) -> None:
    """The rows of the old object go, those of the new one come: one id is one request."""
    owner, objects = subscription("kserve/v1"), files("kserve/v1")
    keys = list(objects)
    first, other = keys[0].removesuffix("-request.json"), keys[2].removesuffix("-request.json")
    old_id, new_id = (Path(stem).name.encode() for stem in (other, first))
    for side in ("request", "response"):  # the other call, under the first one's id
        folder.write(f"{first}-{side}.json", objects[f"{other}-{side}.json"].replace(old_id, new_id))
    run(owner)
    for key, data in objects.items():
        folder.write(key, data)
    run_until_done(owner)
    assert_right(owner)


def test_a_live_file_grows_and_is_renamed_at_the_end_of_its_day(folder: LogFolder) -> None:
    """Cut in the middle of a line, then whole, then under its date while a new file takes its name."""
    owner, (data,) = subscription("bentoml"), files("bentoml").values()
    for size in (10, len(data) // 3, 2 * len(data) // 3, len(data)):
        folder.write(LIVE, data[:size])
        os.utime(folder.root / LIVE)  # just now: its last line may still be being written
        assert run(owner).counts.balanced
    assert_right(owner)
    folder.write(f"{LIVE}.2024-01-19", data)
    run_until_done(owner)
    assert_right(owner)
    folder.write(LIVE, b"")
    run_until_done(owner)
    assert_right(owner)
