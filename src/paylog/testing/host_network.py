"""The network of a compose file without containers: a namespace and an address for each service."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

from paylog.errors import StopError

_HOSTS = Path("/etc/netns")


class Network(Protocol):
    """Where services find each other."""

    def address(self, host: str) -> str:
        """The address under which ``host`` is found by those on the network, and by this process."""

    def inside(self, host: str, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` as ``host``."""

    def close(self) -> None:
        """Take it down."""


class Namespaces:
    """A bridge and a network namespace for each host, with a host name and an /etc/hosts of its own.

    A host outside of a namespace has an address on the bridge itself: what listens there stands for it.
    """

    def __init__(self, inside: Iterable[str], outside: Iterable[str]) -> None:
        number = os.getpid() % 10_000
        self._bridge = f"paylog{number}"
        self._net = f"10.213.{number % 250}"
        self._inside, self._outside = list(inside), list(outside)
        self._exit = ExitStack()
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def address(self, host: str) -> str:
        if host in self._outside:
            return f"{self._net}.{200 + self._outside.index(host)}"
        return f"{self._net}.{2 + self._inside.index(host)}"

    def inside(self, host: str, command: Sequence[str]) -> list[str]:
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host]
        return ["ip", "netns", "exec", self._space(host), *named, *command]

    def close(self) -> None:
        self._exit.close()

    def _space(self, host: str) -> str:
        return f"{self._bridge}-{host}"

    def _build(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        self._exit.callback(_ip, "link", "del", self._bridge)
        _ip("addr", "add", f"{self._net}.1/24", "dev", self._bridge)
        for host in self._outside:
            _ip("addr", "add", f"{self.address(host)}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for number, host in enumerate(self._inside):
            self._add(host, f"{self._bridge}-{number}")

    def _add(self, host: str, link: str) -> None:
        space = self._space(host)
        _ip("netns", "add", space)
        self._exit.callback(_ip, "netns", "del", space)
        self._write_hosts(space)
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", link, "master", self._bridge, "up")
        for up in (("lo",), ("eth0",)):
            _ip("-n", space, "link", "set", *up, "up")
        _ip("-n", space, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")

    def _write_hosts(self, space: str) -> None:
        folder = _HOSTS / space
        folder.mkdir(parents=True, exist_ok=True)
        self._exit.callback(shutil.rmtree, folder, ignore_errors=True)
        known = [f"{self.address(host)} {host}" for host in (*self._inside, *self._outside)]
        (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *known]) + "\n")


class Loopback:
    """Everything on 127.0.0.1, where namespaces are not allowed."""

    def address(self, host: str) -> str:
        return "127.0.0.1"

    def inside(self, host: str, command: Sequence[str]) -> list[str]:
        return list(command)

    def close(self) -> None:
        """There is nothing to take down."""


def network(inside: Iterable[str], outside: Iterable[str]) -> Network:
    """Namespaces where this machine lets us make them, else loopback."""
    if os.geteuid() == 0:
        with suppress(StopError, OSError):
            return Namespaces(inside, outside)
    return Loopback()


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise StopError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
