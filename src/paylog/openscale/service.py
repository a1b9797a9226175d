"""OpenScale's REST API, one call at a time; what an answer means for the chunk is in its type."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import httpx
from isal import igzip

from paylog.connections import Connection
from paylog.errors import ConfigurationError, RetriableError
from paylog.openscale.authentication import sign_in
from paylog.openscale.records import iso
from paylog.subscription.delivery import Delivery, ServiceApi
from paylog.transport import checked_url, is_loopback

# It logs each address, with scoring ids in it.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

_SECONDS = 60.0
_IDS_A_QUERY = 50
_PART = 128 * 1024
_TRY_AGAIN = (408, 425, 429)
# They part the values and the terms of a filter, which knows no escape (contract section 2.3).
_SEPARATORS = frozenset(",;")
_INEXACT = timedelta(seconds=1)


class Refused(Exception):  # noqa: N818 - an answer
    """The service will not take the chunk, however often it is sent.

    :param errors: what it says, by code.
    """

    def __init__(self, status: int, errors: list[dict[str, Any]]) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.errors = errors


class Busy(Exception):  # noqa: N818 - an answer
    """The service did not take the chunk now. ``after``: seconds that it asks to wait, if it says so."""

    def __init__(self, what: str, after: float | None = None) -> None:
        super().__init__(what)
        self.after = after


class Unknown(Exception):  # noqa: N818 - an answer
    """Nobody knows whether the service took the chunk: the link broke after it was sent, or a 5xx came."""


class Forgotten(Exception):  # noqa: N818 - an answer
    """The service does not know the request: it keeps them for some time only, or never took it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A post that the service took.

    :param request_id: None where the service names none.
    :param stored: rows that it says are stored already, None where it says nothing of it.
    """

    request_id: str | None
    stored: int | None


@dataclass(frozen=True, slots=True)
class RequestState:
    """How far a request is: ``preparing``, ``active`` (stored) or ``error``, and what went wrong."""

    state: str
    errors: tuple[dict[str, Any], ...] = ()


class _Parts:
    """A body for httpx, which copies what is left of a part each time that the socket takes some of it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return (self._body[at : at + _PART] for at in range(0, len(self._body), _PART))


class Service:
    """One data set (v2) or subscription (v1) of a service. Threads may share it."""

    def __init__(
        self, connection: Connection, delivery: Delivery, transport: httpx.BaseTransport | None = None
    ) -> None:
        base = _base_url(connection)
        instance = str(connection.extra.get("instance_id") or connection.schema or "")
        self._v2 = delivery.api is ServiceApi.V2
        self._delivery = delivery
        self._far = not is_loopback(httpx.URL(base).host)  # there, compressing costs more than sending
        self._root = f"{base}/openscale/{instance}" if self._v2 and instance else base
        self._mart = f"{base}/v1/data_marts/{instance}"
        if not self._v2 and not instance:
            raise ConfigurationError(
                f"connection {connection.conn_id!r}: v1 needs instance_id (the data mart's id) in extra"
            )
        self._http = httpx.Client(
            auth=sign_in(connection, base),
            timeout=_SECONDS,
            verify=_verification(connection),
            transport=transport,
            limits=httpx.Limits(max_connections=delivery.max_parallel + 1),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def post(self, records: bytes, *, historical: bool = False) -> Taken:
        """Hand a JSON array of records over.

        :raises Busy: not taken, try again later. :raises Refused: never will be.
        :raises Unknown: look whether it was taken before it is sent again.
        """
        body = igzip.compress(records, 0) if self._far else records
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        if self._far:
            headers["Content-Encoding"] = "gzip"
        if self._v2:
            url = f"{self._root}/v2/data_sets/{self._delivery.data_set}/records"
            query = {"split_to_multi_req": "false"}
            if historical:
                query["is_historical_data"] = "true"
        else:
            url, query = f"{self._mart}/scoring_payloads", {}
            headers["Prefer"] = "return=minimal"
        try:
            answer = self._http.post(url, params=query, content=_Parts(body), headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Busy(f"no connection: {type(error).__name__}") from None
        except httpx.TransportError as error:
            raise Unknown(type(error).__name__) from None
        return _accepted(answer)

    def state(self, request_id: str) -> RequestState:
        """State of a request. :raises Busy: not known now. :raises Forgotten: the service has no such one."""
        url = f"{self._root}/v2/data_sets/{self._delivery.data_set}/requests/{request_id}"
        answer = self._answer(url, {})
        if answer.status_code == 404:
            raise Forgotten
        body = _document(answer)
        errors = (body.get("failure") or {}).get("errors") or ()
        return RequestState(str(body.get("state", "preparing")).lower(), tuple(errors))

    def present(self, scoring_ids: Sequence[str], span: tuple[datetime, datetime]) -> set[str]:
        """Which of the rows the service has (v2), perhaps others too. :raises Busy: not known now.

        :param span: first and last time that they were scored at.
        """
        found: set[str] = set()
        plain = [one for one in scoring_ids if _SEPARATORS.isdisjoint(one)]
        for start in range(0, len(plain), _IDS_A_QUERY):
            some = plain[start : start + _IDS_A_QUERY]
            found |= self._ids({"filter": "scoring_id:in:" + ",".join(some), "limit": str(_IDS_A_QUERY)})
        if len(plain) < len(scoring_ids):
            found |= self._scored_in(span)
        return found

    def _scored_in(self, span: tuple[datetime, datetime]) -> set[str]:
        """Ids that a filter cannot hold are found by their time, which the service may keep less exactly."""
        around = {"start": iso(span[0] - _INEXACT), "end": iso(span[1] + _INEXACT), "limit": "1000"}
        found: set[str] = set()
        skipped = 0
        while (some := self._ids(around | {"offset": str(skipped)})) - found:
            found |= some
            skipped += len(some)
        return found

    def _ids(self, query: dict[str, str]) -> set[str]:
        url = f"{self._root}/v2/data_sets/{self._delivery.data_set}/records"
        records = self._get(url, query | {"format": "dict"}).get("records") or ()
        return {str(record["entity"]["values"].get("scoring_id")) for record in records}

    def count(self, span: tuple[datetime, datetime] | None = None) -> int:
        """How many payload records the service has; v2: of [first, last) by scoring time, if given.

        :raises Busy: not known now.
        """
        if self._v2:
            url = f"{self._root}/v2/data_sets/{self._delivery.data_set}/records"
            query = {"limit": "0", "include_total_count": "true"}
            if span is not None:
                query |= {"start": iso(span[0]), "end": iso(span[1])}
        else:
            url = f"{self._mart}/scoring_transactions"
            query = {"subscription_id": str(self._delivery.subscription), "limit": "1"}
            query["include_total_count"] = "true"
        return int(self._get(url, query)["total_count"])

    def _get(self, url: str, query: dict[str, str]) -> dict[str, Any]:
        answer = self._answer(url, query)
        if answer.status_code == 404:
            raise ConfigurationError(f"the service does not know {httpx.URL(url).path}")
        return _document(answer)

    def _answer(self, url: str, query: dict[str, str]) -> httpx.Response:
        try:
            return self._http.get(url, params=query)
        except httpx.TransportError as error:
            raise Busy(type(error).__name__) from None


def data_marts(connection: Connection) -> list[str]:
    """Ids of the data marts that a connection gives access to: a test of address and credentials.

    :raises RetriableError: the service does not answer.
    :raises ConfigurationError: no service is at this address, or none of this instance.
    """
    base = _base_url(connection)
    instance = str(connection.extra.get("instance_id") or connection.schema or "")
    root = f"{base}/openscale/{instance}" if instance else base
    auth, verify = sign_in(connection, base), _verification(connection)
    try:
        with httpx.Client(auth=auth, timeout=_SECONDS, verify=verify) as http:
            answer = http.get(f"{root}/v2/data_marts")
            if answer.status_code == 404 and instance:  # an old instance
                answer = http.get(f"{base}/v1/data_marts/{instance}")
        if answer.status_code >= 400:
            passing = answer.status_code >= 500 or answer.status_code in _TRY_AGAIN
            error = RetriableError if passing else ConfigurationError
            raise error(
                f"connection {connection.conn_id!r}: HTTP {answer.status_code}, check host and instance_id"
            )
        body = answer.json()
        found = body.get("data_marts", [body])
        return [str(one["metadata"].get("id") or one["metadata"].get("guid")) for one in found]
    except httpx.TransportError as error:
        raise RetriableError(f"connection {connection.conn_id!r}: {type(error).__name__}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RetriableError(
            f"connection {connection.conn_id!r}: what answers there is not Watson OpenScale"
        ) from None


def _accepted(answer: httpx.Response) -> Taken:
    status = answer.status_code
    if status in (200, 201, 202, 204):
        location = answer.headers.get("location", "")
        return Taken(location.rstrip("/").rsplit("/", 1)[-1] or None, _stored(answer))
    if status == 429:
        raise Busy("HTTP 429", _retry_after(answer))
    if status >= 500:
        raise Unknown(f"HTTP {status}")
    try:
        errors = list(answer.json().get("errors") or [])
    except (ValueError, AttributeError):
        errors = []
    raise Refused(status, errors)


def _document(answer: httpx.Response) -> dict[str, Any]:
    """The JSON of an answer to a question. What is wrong with the question itself stays so."""
    status = answer.status_code
    if status >= 500 or status in _TRY_AGAIN:
        raise Busy(f"HTTP {status}", _retry_after(answer))
    if status >= 400:
        path = answer.request.url.path
        raise ConfigurationError(f"the service refuses to be asked for {path} (HTTP {status})")
    try:
        body = answer.json()
    except ValueError:
        raise Busy("an answer that is not JSON") from None
    return body if isinstance(body, dict) else {}


def _stored(answer: httpx.Response) -> int | None:
    try:
        body = answer.json()
        return int(body["records_count"]) if body["state"] == "active" else None
    except (ValueError, KeyError, TypeError):
        return None


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.replace(".", "", 1).isdigit() else None


def _base_url(connection: Connection) -> str:
    host = connection.host.rstrip("/")
    if not host:
        raise ConfigurationError(f"connection {connection.conn_id!r} needs the service's address as host")
    if "://" not in host:
        host = f"https://{host}"
    port = f":{connection.port}" if connection.port else ""
    return checked_url(connection, f"{host}{port}")


def _verification(connection: Connection) -> ssl.SSLContext | bool:
    """TLS is verified, by a certificate authority of one's own if ``extra.ca_file`` names one."""
    authority = connection.extra.get("ca_file")
    if not authority:
        return True
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError):
        raise ConfigurationError(
            f"connection {connection.conn_id!r}: ca_file is not a readable file of certificates"
        ) from None
