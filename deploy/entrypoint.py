"""Entry point of the containers: puts secrets where the environment names them, then runs the command.

``{secret:NAME}`` in a variable's value becomes what the file NAME in ``/run/secrets`` (or the folder that
``SECRETS_FOLDER`` names) holds: percent-encoded in a URL, escaped in JSON. Thus a secret stands neither in
docker-compose.yml nor in what ``docker inspect`` shows.
"""

import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import quote


def filled(value: str, folder: Path) -> str:
    """The value with its secrets. Raises ``FileNotFoundError`` naming a secret that is not there."""

    def secret(found: re.Match[str]) -> str:
        text = (folder / found[1]).read_text().strip()
        if value.lstrip().startswith('{"'):
            return json.dumps(text)[1:-1]
        return quote(text, safe="") if "://" in value else text

    return re.sub(r"\{secret:(\w+)\}", secret, value)


def main() -> None:
    folder = Path(os.environ.get("SECRETS_FOLDER", "/run/secrets"))
    environment = {name: filled(value, folder) for name, value in os.environ.items()}
    os.execvpe(sys.argv[1], sys.argv[1:], environment)


if __name__ == "__main__":
    main()
