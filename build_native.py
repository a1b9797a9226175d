"""Hatch build hook: compile ``paylog/native/*.c`` into a plain shared library.

With the system's C compiler, else with the one in the ``ziglang`` wheel; no Python headers are
needed. If neither works the wheel is built without it and paylog falls back to Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("src/paylog/native")
FLAGS = ["-O3", "-shared", "-fPIC", "-Wall", "-Wextra"]


def _system_compiler() -> list[str] | None:
    named = os.environ.get("CC", "").split()
    found = next(
        (c for c in (named[0] if named else "", "cc", "gcc", "clang") if c and shutil.which(c)), None
    )
    return [found, *named[1:]] if found else None


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the library to the wheel; for an editable install it stays beside the sources."""

    def dependencies(self) -> list[str]:
        return [] if _system_compiler() else ["ziglang"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        folder = Path(self.root) / NATIVE
        library = folder / "_paylog.so"
        compiler = _system_compiler() or [sys.executable, "-m", "ziglang", "cc"]
        sources = sorted(str(path) for path in folder.glob("*.c"))
        try:
            subprocess.run([*compiler, *FLAGS, "-o", str(library), *sources], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"paylog.native was not built ({error}); paylog will be slower")
            return
        build_data["artifacts"].append(str(NATIVE / library.name))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
