"""Which network services get, by what the machine's ``ip`` says; nothing is made here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from paylog.testing.host_network import Loopback, Namespaces, network

_IP = f"""#!{sys.executable}
import os, sys
called = " ".join(sys.argv[1:])
with open(os.environ["CALLS"], "a") as calls:
    print(called, file=calls)
sys.exit("Operation not permitted" if called == os.environ.get("REFUSED") else 0)
"""
NUMBER = os.getpid() % 10_000


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is asked of an ``ip`` that does nothing."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("paylog.testing.host_network._HOSTS", tmp_path / "netns")
    (tmp_path / "ip").write_text(_IP)
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_root_gets_a_namespace_for_each_host_and_takes_it_down(calls: Path, tmp_path: Path) -> None:
    made = network(["scheduler", "worker-1"], ["data-mart"])
    assert isinstance(made, Namespaces)
    hosts = tmp_path / "netns" / f"paylog{NUMBER}-worker-1" / "hosts"
    addresses = {name: made.address(name) for name in ("scheduler", "worker-1", "data-mart")}
    assert len(set(addresses.values())) == 3
    assert hosts.read_text().splitlines()[1:] == [f"{at} {name}" for name, at in addresses.items()]
    assert made.inside("worker-1", ["true"])[:4] == ["ip", "netns", "exec", f"paylog{NUMBER}-worker-1"]
    assert "del" not in calls.read_text()
    made.close()
    assert not hosts.exists()
    assert calls.read_text().splitlines()[-3:] == [
        f"netns del paylog{NUMBER}-worker-1",
        f"netns del paylog{NUMBER}-scheduler",
        f"link del paylog{NUMBER}",
    ]


def test_where_namespaces_are_refused_all_is_on_loopback_and_nothing_is_left(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUSED", f"netns add paylog{NUMBER}-worker-1")
    made = network(["scheduler", "worker-1"], ["data-mart"])
    assert isinstance(made, Loopback)
    assert {made.address(name) for name in ("scheduler", "data-mart")} == {"127.0.0.1"}
    assert made.inside("worker-1", ["true"]) == ["true"]
    done = calls.read_text().splitlines()
    assert done[-2:] == [f"netns del paylog{NUMBER}-scheduler", f"link del paylog{NUMBER}"]
    assert list((tmp_path / "netns").iterdir()) == []
    made.close()
    assert calls.read_text().splitlines() == done


def test_without_ip_or_rights_all_is_on_loopback(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert isinstance(network(["scheduler"], []), Loopback)
    assert not calls.exists()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (calls.parent / "ip").unlink()
    assert isinstance(network(["scheduler"], []), Loopback)
