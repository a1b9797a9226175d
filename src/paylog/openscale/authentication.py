"""Signing in to OpenScale: IAM, Cloud Pak for Data, or a given token; tokens are renewed before they end.

Source: contract sections 1.1 and 2.1.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import httpx

from paylog.connections import Connection
from paylog.errors import AccessDenied, ConfigurationError, RetriableError
from paylog.transport import checked_url

IAM_URL = "https://iam.cloud.ibm.com"
_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
_EARLY = 60.0
_CP4D_LIFETIME = 30 * 60.0


@dataclass
class SignIn(httpx.Auth):
    """Adds a bearer token to every request; fetches a new one when it is about to end, or is refused.

    :param request: makes the token request, None where the token is given once for all.
    """

    conn_id: str
    request: httpx.Request | None
    token: str = field(default="", repr=False)
    ends: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx's hook: :raises AccessDenied: the credentials, or a fresh token, are refused."""
        used = self.token
        if self.request is not None and time.monotonic() > self.ends:
            used = yield from self._renewed(used)
        request.headers["Authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == 401 and self.request is not None:
            used = yield from self._renewed(used)
            request.headers["Authorization"] = f"Bearer {used}"
            response = yield request
        if response.status_code in (401, 403):
            raise AccessDenied(
                f"connection {self.conn_id!r}: the service refused the token (HTTP {response.status_code}); "
                "check the API key and that it may write to this instance"
            )

    def _renewed(self, used: str) -> Generator[httpx.Request, httpx.Response, str]:
        """A token in place of the one that was used; of several threads one fetches it."""
        with self._lock:
            if self.token != used and time.monotonic() < self.ends:
                return self.token
            assert self.request is not None
            response = yield self.request
            if response.status_code >= 500 or response.status_code == 429:
                raise RetriableError(f"connection {self.conn_id!r}: no token (HTTP {response.status_code})")
            if response.status_code >= 400:
                raise AccessDenied(
                    f"connection {self.conn_id!r}: the credentials were refused (HTTP {response.status_code})"
                )
            self.token, lifetime = _token(self.conn_id, response)
            self.ends = time.monotonic() + lifetime - min(_EARLY, lifetime / 10)
            return self.token


def sign_in(connection: Connection, base_url: str) -> SignIn:
    """How to sign in with a connection: extra ``auth`` is iam, cp4d, preauth or bearer, else what fits.

    :raises ConfigurationError: something is missing.
    """
    extra = connection.extra
    kind = str(extra.get("auth") or _kind(connection))
    key = str(extra.get("apikey") or (connection.password if kind in ("iam", "preauth") else "") or "")
    if kind == "bearer":
        token = str(extra.get("token") or connection.password)
        return _checked(connection, token, SignIn(connection.conn_id, None, token))
    if kind == "cp4d":
        secret = {"api_key": key} if key else {"password": connection.password}
        body = {"username": connection.login, **secret}
        address = f"{base_url}/icp4d-api/v1/authorize"
        request = httpx.Request("POST", address, json=body)
        return _checked(
            connection, connection.login and any(secret.values()), SignIn(connection.conn_id, request)
        )
    if kind not in ("iam", "preauth"):
        raise ConfigurationError(f"connection {connection.conn_id!r}: auth is iam, cp4d, preauth or bearer")
    iam = checked_url(connection, str(extra.get("iam_url") or IAM_URL)).rstrip("/")
    address = f"{iam}/identity/token" if kind == "iam" else f"{base_url}/v1/preauth/validateAuth"
    form = {"grant_type": _GRANT, "apikey": key}
    return _checked(connection, key, SignIn(connection.conn_id, httpx.Request("POST", address, data=form)))


def _kind(connection: Connection) -> str:
    if connection.extra.get("token"):
        return "bearer"
    return "cp4d" if connection.login else "iam"


def _checked(connection: Connection, present: Any, made: SignIn) -> SignIn:
    if not present:
        raise ConfigurationError(
            f"connection {connection.conn_id!r} has no credentials for the service: an API key (extra "
            "apikey, or the password), a user with password or API key (Cloud Pak for Data), or a token "
            "(extra token)"
        )
    return made


def _token(conn_id: str, response: httpx.Response) -> tuple[str, float]:
    """The token and how long it lives, in seconds."""
    try:
        body = response.json()
        token = body.get("access_token") or body.get("accessToken") or body["token"]
        lifetime = float(body.get("expires_in") or 0)
        if not lifetime and body.get("expiration"):
            lifetime = float(body["expiration"]) - time.time()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RetriableError(f"connection {conn_id!r}: the answer to the sign-in holds no token") from None
    return str(token), lifetime or _CP4D_LIFETIME
