"""What an error of obstore means: retry, read again, or stop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    ObjectChanged,
    ObjectNotFound,
    PaylogError,
    RetriableError,
    StopError,
)

# obstore keeps the status and the store's own code in its text only.
_STATUS = re.compile(r"status code: (\d{3})")
_ADDRESS = re.compile(r'\w+://[^\s"<>]*')  # holds the key, which may be called after any fault
_CODE = re.compile(r"<Code>(\w+)</Code>")
_CHANGED = ("precondition failure", "Wanted range")
_WRONG_REGION = ("redirect without LOCATION", "AuthorizationHeaderMalformed", "IllegalLocationConstraint")
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown", "ServerBusy", "OperationTimedOut", "InternalError"})
_DENIED = {
    "InvalidAccessKeyId": "the store does not know this access key id: check the connection's login",
    "SignatureDoesNotMatch": "the secret is wrong: check the connection's password",
    "AuthenticationFailed": "the account key, SAS token or secret is wrong or has expired",
    "AuthorizationFailure": "the account key or SAS token is wrong, or the account's firewall is in the way",
    "RequestTimeTooSkewed": "this machine's clock is wrong: synchronise it",
    "ExpiredToken": "the session token has expired: renew it in the connection",
}
_DENIED_OTHERWISE = "check that these credentials may list and read this bucket"


@contextmanager
def explained(where: str, conn_id: str) -> Iterator[None]:
    """Turn what obstore raises into paylog's errors.

    The cause is cut off: its text repeats the whole answer, and may hold a signed address.

    :param where: ``s3://bucket/key`` and the like, for the message.
    """
    try:
        yield
    except (BaseError, FileNotFoundError, ValueError) as error:
        raise _meaning(error, where, conn_id) from None


def _meaning(error: Exception, where: str, conn_id: str) -> PaylogError:
    text = _ADDRESS.sub("", str(error))
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    code = found[1] if (found := _CODE.search(text)) else ""
    if any(sign in text for sign in _CHANGED):
        return ObjectChanged(f"{where} was overwritten after it was listed")
    if any(sign in text for sign in _WRONG_REGION):
        return ConfigurationError(
            f"{where}: the bucket is in another region: mend region_name or endpoint_url of {conn_id!r}"
        )
    if code in _PASSING_CODES or status in _PASSING_STATUS:
        return RetriableError(f"{where}: the store answered {status} {code}".rstrip())
    if code in _NO_BUCKET:
        return ObjectNotFound(f"{where}: the bucket does not exist: check logs.bucket and {conn_id!r}")
    if status == 404 or isinstance(error, FileNotFoundError):
        return ObjectNotFound(f"{where} does not exist (or its bucket does not)")
    return _refused(text, status, code, where, conn_id) or _unknown(text, status, code, where, conn_id)


def _refused(text: str, status: int, code: str, where: str, conn_id: str) -> PaylogError | None:
    if "token request" in text and status in (400, 401, 403):
        return AccessDenied(f"{where}: no token for connection {conn_id!r} ({status}): check its credentials")
    if "credential provider" in text and "ClientError" in text:
        return AccessDenied(f"{where}: AWS refused the role of connection {conn_id!r}: check role_arn")
    if code in _DENIED or status in (401, 403):
        hint = _DENIED.get(code, _DENIED_OTHERWISE)
        return AccessDenied(f"{where}: refused ({status} {code}) with connection {conn_id!r}: {hint}")
    return None


def _unknown(text: str, status: int, code: str, where: str, conn_id: str) -> PaylogError:
    if "path segment" in text or "parse path" in text or "invalid path" in text:
        return StopError(
            f"{where}: a key here has an empty, '.' or '..' part, which obstore cannot address: name a "
            "prefix without such keys, or read an S3 bucket with a connection of type ibm_cos"
        )
    if "certificate" in text:
        return ConfigurationError(f"{where}: the certificate of {conn_id!r}'s endpoint is not trusted")
    if status:
        return StopError(f"{where}: the store answered {status} {code}, which paylog does not know")
    return RetriableError(f"{where}: no answer or connection lost")
