"""docker-compose.yml as the real client reads it, to start the same processes without containers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from paylog.errors import StopError

_PLUGINS = (
    "/usr/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
)
_INSTALL = "Docker's compose client is not installed. Debian: apt-get install docker-compose (2.20 or newer)"


def compose_client() -> Path:
    """The real client, Docker's compose plugin, which runs by itself as well.

    :raises StopError: it is not installed.
    """
    for place in _PLUGINS:
        if (found := Path(place) / "docker-compose").exists():
            return found
    if named := shutil.which("docker-compose"):
        return Path(named)
    raise StopError(_INSTALL)


@dataclass(frozen=True)
class ComposeFile:
    """A compose file, with all of its profiles.

    :param environment: what the client interpolates with, beside nothing else.
    """

    file: Path
    environment: Mapping[str, str]

    @cached_property
    def document(self) -> dict[str, Any]:
        """What ``docker compose config`` answers. Raises ``StopError`` when it refuses the file."""
        return json.loads(self.client("--profile", "*", "config", "--format", "json"))  # type: ignore[no-any-return]

    def client(self, *arguments: str, more_files: Sequence[Path] = ()) -> str:
        """The output of the client over this file. Raises ``StopError`` with what it says against it."""
        files = [part for file in (self.file, *more_files) for part in ("-f", str(file))]
        done = subprocess.run(
            [str(compose_client()), "--project-directory", str(self.file.parent), *files, *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **self.environment},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise StopError(f"docker compose {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def service(self, name: str) -> dict[str, Any]:
        return dict(self.document["services"][name])

    def environment_of(self, name: str) -> dict[str, str]:
        """The variables of a service, as its container gets them."""
        return {key: _unescaped(value) for key, value in self.service(name).get("environment", {}).items()}

    def command_of(self, name: str) -> list[str]:
        """The command of a service, as its container gets it."""
        return [_unescaped(part) for part in self.service(name)["command"]]

    def health_check_of(self, name: str) -> list[str]:
        """``CMD`` or ``CMD-SHELL``, and the command that Docker runs in the service's container."""
        return [_unescaped(part) for part in self.service(name)["healthcheck"]["test"]]

    def replicas(self, name: str) -> int:
        return int(self.service(name).get("deploy", {}).get("replicas", 1))

    def settings_of(self, name: str) -> dict[str, str]:
        """``postgresql.conf`` settings among the arguments of a PostgreSQL service."""
        command = self.command_of(name)
        given = [after for flag, after in pairwise(command) if flag == "-c"]
        return dict(setting.split("=", 1) for setting in given)


def _unescaped(text: str) -> str:
    """``config`` writes a dollar sign as compose files do, twice."""
    return text.replace("$$", "$")
