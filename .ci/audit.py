"""Known vulnerabilities of what constraints.txt pins, as pip-audit finds them.

Ends with 0 when every dependency was looked up and none has any, with 1 when one has, and with 75 when no
service answered for all of them: then nothing is known, which is not the same as nothing found.

    python .ci/audit.py [PIP-AUDIT-COMMAND ...]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
SERVICES = ("osv", "pypi")
NONE, SOME, UNKNOWN = 0, 1, 75


def main(command: list[str]) -> int:
    """Ask one service after the other until one knows all dependencies."""
    for service in SERVICES:
        found = ask(command, service)
        vulnerable = [one for one in found or () if one.get("vulns")]
        if vulnerable:
            for one in vulnerable:
                ids = ", ".join(v["id"] for v in one["vulns"])
                fixed = sorted({f for v in one["vulns"] for f in v.get("fix_versions", ())})
                print(
                    f"{one['name']} {one['version']}: {ids}; fixed in {', '.join(fixed) or 'no version yet'}"
                )
            return SOME
        skipped = [one["name"] for one in found or () if "skip_reason" in one]
        if found and not skipped:
            print(f"{len(found)} dependencies, no known vulnerability ({service}).")
            return NONE
        print(f"{service}: {f'does not know {len(skipped)} of {len(found)}' if found else 'does not answer'}")
    print("THE DEPENDENCIES WERE NOT AUDITED: no vulnerability service could be asked from here.")
    return UNKNOWN


def ask(command: list[str], service: str) -> list[dict[str, Any]] | None:
    """What a service says of each dependency; None when it does not answer."""
    asked = [*command, "-r", str(CONSTRAINTS), "--no-deps", "--disable-pip", "-f", "json", "-s", service,
             "--progress-spinner", "off", "--timeout", "15"]  # fmt: skip
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=600)
        return list(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError, subprocess.TimeoutExpired):
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [sys.executable, "-m", "pip_audit"]))
