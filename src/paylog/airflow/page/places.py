"""Where the page finds what it shows: the subscriptions of this Airflow, and their data marts."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from airflow.configuration import conf

from paylog.airflow.connections import airflow_connection
from paylog.airflow.folder import subscriptions_folder
from paylog.connections import Connection
from paylog.data_mart import DataMart
from paylog.subscription import Subscription, read_subscriptions

_Stamp = tuple[tuple[str, int, int], ...]


class Places:
    """Reads a subscription's file again only when it changed; keeps connections to the data marts."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stamp: _Stamp | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._marts: dict[tuple[str, str], tuple[Connection, DataMart]] = {}

    def subscriptions(self) -> dict[str, Subscription]:
        """Subscription id → subscription, of every file without a mistake."""
        folder = subscriptions_folder(str(Path(conf.get("core", "dags_folder")) / "paylog.py"))
        stamp = _stamp(folder)
        with self._lock:
            if stamp != self._stamp:
                self._subscriptions = {s.id: s for s in read_subscriptions(folder).subscriptions}
                self._stamp = stamp
            return self._subscriptions

    def data_mart(self, subscription: Subscription) -> DataMart:
        """Its data mart, read-only. Shared by all requests: not to be closed.

        :raises ConfigurationError: Airflow has no such connection.
        """
        target = subscription.data_mart
        connection = airflow_connection(target.read_connection or target.connection)
        key = connection.conn_id, target.schema_name
        with self._lock:
            known = self._marts.get(key)
            if known is None or known[0] != connection:
                if known is not None:
                    # Sessions that other requests still use are closed when they give them back.
                    known[1].close()
                known = connection, DataMart(connection, target.schema_name, read_only=True)
                self._marts[key] = known
            return known[1]


def _stamp(folder: Path) -> _Stamp:
    """Changes with every file of the folder."""
    if not folder.is_dir():
        return ()
    files = sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml"))
    return tuple((str(p), (found := p.stat()).st_mtime_ns, found.st_size) for p in files)
