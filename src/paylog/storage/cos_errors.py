"""What an answer of the object store, or none, means: retry, read again, or stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ibm_botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    ParamValidationError,
    SSLError,
)
from urllib3.exceptions import HTTPError

from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    ObjectChanged,
    ObjectNotFound,
    PaylogError,
    RetriableError,
    StopError,
)

_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_PASSING_CODES = frozenset(
    {
        "InternalError",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    }
)
_WRONG_PLACE = frozenset({"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_DENIED = {
    "InvalidAccessKeyId": "the store does not know this access key id: check the connection's login",
    "SignatureDoesNotMatch": "the secret access key is wrong: check the connection's password",
    "RequestTimeTooSkewed": "this machine's clock is wrong: synchronise it",
    "ExpiredToken": "the session token has expired: renew it in the connection",
}
_DENIED_OTHERWISE = (
    "check that these credentials may list and read this bucket (role Reader, or Object Reader)"
)


@contextmanager
def explained(where: str, conn_id: str) -> Iterator[None]:
    """Turn what the SDK raises into paylog's errors.

    :param where: ``cos://bucket/key``, for the message.
    """
    try:
        yield
    except ClientError as error:
        raise _of_answer(error, where, conn_id) from error
    except CredentialRetrievalError as error:
        raise _of_iam(error, conn_id) from error
    except ParamValidationError as error:
        raise ConfigurationError(f"{where}: not a valid bucket name or key") from error
    except SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ConfigurationError(
                f"{where}: the store's certificate is not trusted: check endpoint_url of connection "
                f"{conn_id!r}, or point AWS_CA_BUNDLE at your certificate authority"
            ) from error
        raise RetriableError(f"{where}: TLS connection lost") from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise RetriableError(f"{where}: no answer or connection lost ({type(error).__name__})") from error


def _of_answer(error: ClientError, where: str, conn_id: str) -> PaylogError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _PASSING_CODES or status in _PASSING_STATUS:
        return RetriableError(f"{where}: the store answered {status} {code}")
    if status in (412, 416):
        return ObjectChanged(f"{where} was overwritten after it was listed")
    if code == "NoSuchBucket":
        return ObjectNotFound(
            f"{where}: the bucket does not exist: check its name and endpoint_url of {conn_id!r}"
        )
    if status == 404:
        return ObjectNotFound(f"{where} does not exist (or its bucket does not)")
    if code in _DENIED or status in (401, 403):
        hint = _DENIED.get(code, _DENIED_OTHERWISE)
        return AccessDenied(f"{where}: refused ({status} {code}) with connection {conn_id!r}: {hint}")
    if code in _WRONG_PLACE or 300 <= status < 400:
        return ConfigurationError(
            f"{where}: the bucket is in another region ({status} {code}): "
            f"mend region and endpoint_url of connection {conn_id!r}"
        )
    return StopError(f"{where}: the store answered {status} {code}, which paylog does not know")


def _of_iam(error: CredentialRetrievalError, conn_id: str) -> PaylogError:
    # The SDK keeps the status of IAM's answer only in its text: "HttpCode(400) - Retrieval …".
    refused = any(f"HttpCode({status})" in str(error) for status in (400, 401, 403))
    if refused:
        return AccessDenied(
            f"IAM refused the API key of connection {conn_id!r}: check api_key and auth_endpoint in its extra"
        )
    return RetriableError(f"IAM gave no token for connection {conn_id!r}")
