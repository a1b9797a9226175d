"""What Db2's answer, or none, means: retry or stop. Of the driver's texts only the codes are passed on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    ObjectNotFound,
    PaylogError,
    RetriableError,
    StopError,
)

_MESSAGE = re.compile(r"\b(SQL\d{4,5}|CLI\d{4})[NCWE]\b")
_STATE = re.compile(r"SQLSTATE=(\w{5})")
_REASON = re.compile(r'SQL30082N .*? reason "(\d+)"', re.DOTALL)
_LOST = {
    "SQL30081", "SQL30108", "SQL30109", "SQL30080", "SQL1224", "SQL1229", "SQL1042", "SQL1131", "SQL1032",
    "SQL0924", "SQL0911", "SQL0913", "SQL0904", "SQL0952", "CLI0106", "CLI0108", "CLI0115",
}  # fmt: skip
_LOST_STATES = {"08001", "08003", "08006", "08007", "08506", "08507", "40001", "40003", "57011", "57033"}
_CODE_PAGE = {"SQL0332", "SQL0331", "SQL0330", "SQL0191", "SQL1335", "SQL10007", "SQL20116"}
_WRONG_LOGIN = {
    "3": "the connection has no password", "1": "the password has expired: renew it",
    "2": "the password is wrong", "6": "the user name is wrong", "19": "the user is locked or disabled",
    "24": "user name or password is wrong: check login and password of the connection",
}  # fmt: skip
_HANDSHAKE = "sqlccSSLSocketSetup"
_GSKIT = re.compile(r'error code\(s\): "(\d+)"')
_CUT_OFF = ("406", "420")


@contextmanager
def explained(where: str, conn_id: str) -> Iterator[None]:
    """Turn what the driver raises into paylog's errors.

    :param where: ``db2://host/DATABASE`` or the table, for the message.
    """
    try:
        yield
    except DBAPIError as error:
        raise meaning(str(error.orig), where, conn_id) from None
    except UnicodeDecodeError:
        raise _code_page(where, "no text in any encoding") from None


def meaning(text: str, where: str, conn_id: str) -> PaylogError:
    """The error that stands for the driver's message."""
    message = _MESSAGE.search(text)
    code = message[1] if message else ""
    state = found[1] if (found := _STATE.search(text)) else ""
    named = f"{code or 'no code'}, SQLSTATE {state or 'unknown'}"
    if code == "SQL30082":
        return _login(text, where, conn_id)
    if code in _CODE_PAGE or state in ("57017", "22021"):
        return _code_page(where, named)
    if code in ("SQL30061", "SQL1013", "SQL1031", "SQL1001"):
        return ObjectNotFound(f"{where}: no such database ({named}): mend the database of {conn_id!r}")
    if code in ("SQL0204", "SQL0206") or state == "42704":
        return ObjectNotFound(f"{where} does not exist ({named})")
    if code in ("SQL0551", "SQL0552", "SQL1060") or state in ("42501", "42502"):
        return AccessDenied(
            f"{where}: the user of connection {conn_id!r} may not read it ({named}): GRANT SELECT on it"
        )
    if code == "CLI0157" or (code == "SQL30081" and _HANDSHAKE in text):
        return _tls(text, where, conn_id)
    if code in _LOST or state in _LOST_STATES:
        return RetriableError(f"{where}: no answer from Db2 or connection lost ({named})")
    return StopError(f"{where}: Db2 answered {named}, which paylog does not know")


def _login(text: str, where: str, conn_id: str) -> PaylogError:
    reason = found[1] if (found := _REASON.search(text)) else "?"
    if reason in ("15", "17"):
        return ConfigurationError(
            f"{where}: the server does not take this way of signing in (SQL30082N reason {reason}): set "
            f"authentication in the extra of connection {conn_id!r}, e.g. SERVER_ENCRYPT or SERVER"
        )
    hint = _WRONG_LOGIN.get(reason, "check login and password of the connection")
    return AccessDenied(f"{where}: refused (SQL30082N reason {reason}) with connection {conn_id!r}: {hint}")


def _tls(text: str, where: str, conn_id: str) -> PaylogError:
    """By the code of GSKit, IBM's TLS library: 414 is a certificate that is not trusted."""
    code = found[1] if (found := _GSKIT.search(text)) else ""
    if code in _CUT_OFF:
        return RetriableError(
            f"{where}: the TLS handshake was cut off (GSKit {code}); if that stays so, mend the port of "
            f"{conn_id!r}: is it Db2's TLS port?"
        )
    reason = f"GSKit {code}" if code else "the certificate cannot be read"
    return ConfigurationError(
        f"{where}: no TLS connection ({reason}): check port, ssl and certificate_base64 of {conn_id!r}"
    )


def _code_page(where: str, named: str) -> StopError:
    return StopError(
        f"{where}: text cannot be converted from the database's code page ({named}): set DB2CODEPAGE=1208 "
        "for paylog, or mend the column (code page of the database, FOR BIT DATA)"
    )
