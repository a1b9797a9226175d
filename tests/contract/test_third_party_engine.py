"""An engine of another package, installed by pip, found by its entry point, held to the contract."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from paylog.subscription import Subscription, service_provider
from paylog.testing.contract import EngineContract, declare

SOURCE = Path(__file__).parents[1] / "example_engine" / "acme_serving.py"
PROVIDER = "acme_serving"


def _wheel(folder: Path) -> Path:
    """The example as its build would make it."""
    wheel, info = folder / "acme_serving-1.0-py3-none-any.whl", "acme_serving-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(SOURCE, SOURCE.name)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: acme-serving\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(
            f"{info}/entry_points.txt", f"[paylog.engines]\n{PROVIDER} = acme_serving:AcmeServing\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("acme")
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command = [*install, "--disable-pip-version-check", "--target", str(target), str(_wheel(folder))]
    subprocess.run(command, check=True)
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(site))
    service_provider._installed.cache_clear()
    yield
    service_provider._installed.cache_clear()
    service_provider.ServiceProvider._value2member_map_.pop(PROVIDER, None)


@pytest.mark.usefixtures("installed")
class TestAcmeServing(EngineContract):
    def subscription(self) -> Subscription:
        return declare(PROVIDER, {"age": "integer"})

    def objects(self) -> Sequence[bytes]:
        calls = [
            {
                "call": f"call-{n}",
                "at": f"2024-03-04T05:06:{n:02}Z",
                "in": {"fields": ["age"], "values": [[20 + n]]},
                "out": {"fields": ["prediction", "probability"], "values": [["Risk", [0.25, 0.75]]]},
            }
            for n in range(12)
        ]
        return ["".join(json.dumps(call) + "\n" for call in calls).encode()]

    def test_its_layout_and_name_are_its_own(self) -> None:
        subscription = self.subscription()
        assert subscription.layout == "%Y/%m/%d/"
        assert subscription.document()["service_provider"] == PROVIDER
        assert Subscription.model_validate(subscription.document()) == subscription
        assert PROVIDER in json.dumps(Subscription.model_json_schema())


def paylog(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from paylog.cli import main; main()"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_paylog_engines_lists_it(site: Path) -> None:
    listed = paylog(site, "engines")
    assert listed.returncode == 0, listed.stderr
    assert "ACME Serving: one JSON line a call" in listed.stdout
    (described,) = json.loads(paylog(site, "engines", PROVIDER, "--json").stdout)
    assert (described["layout"], described["engine"]) == ("%Y/%m/%d/", "acme_serving:AcmeServing")


def test_a_package_that_cannot_be_imported_is_named(site: Path, tmp_path: Path) -> None:
    (tmp_path / "acme_serving.py").write_text("import no_such_module\n")
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "broken-1.0.dist-info/METADATA").write_text("Name: broken\nVersion: 1.0\n")
    (tmp_path / "broken-1.0.dist-info/entry_points.txt").write_text(
        "[paylog.engines]\nbroken = acme_serving:X\n"
    )
    failed = paylog(tmp_path, "engines", "broken")
    assert failed.returncode == 5
    assert "package 'broken', whose acme_serving:X cannot be imported (ModuleNotFoundError)" in failed.stderr
