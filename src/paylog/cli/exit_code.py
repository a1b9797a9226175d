"""Exit codes, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from paylog.cli.answer import print_json, printable
from paylog.errors import (
    ConfigurationError,
    ErrorBudgetExceeded,
    PayloadRefused,
    PaylogError,
    RetriableError,
    StopError,
)

DEBUG_VARIABLE = "PAYLOG_DEBUG"


class ExitCode(IntEnum):
    """What a script can tell from ``$?``. They are an interface: never renumber one."""

    OK = 0
    DEFECT = 1
    CONFIGURATION = 2
    NOT_FOUND = 3
    OVER_BUDGET = 4
    STOPPED = 5
    TRY_AGAIN = 75
    INTERRUPTED = 130

    @classmethod
    def of(cls, error: BaseException) -> ExitCode:
        """The exit code that an error ends the command with."""
        for kind, code in _CODES:
            if isinstance(error, kind):
                return code
        return cls.DEFECT


class NotFoundError(StopError):
    """What the command line names does not exist: a subscription, a quarantined record."""


class UnfinishedRunError(PaylogError):
    """A run was not carried through: batches that failed were rolled back, or rows are not delivered.

    Its receipt was printed.

    :param code: of the worst failure.
    """

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (ConfigurationError, ExitCode.CONFIGURATION),
    (NotFoundError, ExitCode.NOT_FOUND),
    (ErrorBudgetExceeded, ExitCode.OVER_BUDGET),
    (PayloadRefused, ExitCode.OVER_BUDGET),
    (StopError, ExitCode.STOPPED),
    (RetriableError, ExitCode.TRY_AGAIN),
)

EPILOG = f"""\
[bold]Exit codes[/bold]
  0  done; records rejected within the error budget are in quarantine
  1  a defect in paylog
  2  the command line, a subscription or a connection is wrong
  3  not found: no such subscription or quarantined record
  4  over the error budget, or unlike the training data with the gate shut: those batches were rolled back
  5  stopped, a retry cannot help: access denied, no such bucket, training data in error, …
 75  a passing fault (network, busy server): try again later
130  interrupted; nothing is half loaded

[bold]Environment[/bold]
PAYLOG_SUBSCRIPTIONS  folder of the subscriptions
AIRFLOW_CONN_<ID>     a connection, as for Airflow: a URI or JSON
{DEBUG_VARIABLE}=1        show tracebacks
"""


@contextmanager
def reported(as_json: bool) -> Iterator[None]:
    """End the command with a message on stderr and an exit code instead of a traceback.

    :param as_json: print the error as the one JSON document too.
    """
    try:
        yield
    except typer.Exit:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if _belongs_to_typer(error) or debugging():
            raise
        code = error.code if isinstance(error, UnfinishedRunError) else ExitCode.of(error)
        message = describe(error)
        typer.secho(f"paylog: {printable(message)}", err=True, fg=typer.colors.RED)
        # A run that did not finish has printed its document already.
        if as_json and not isinstance(error, UnfinishedRunError):
            print_json({"error": {"kind": type(error).__name__, "message": message, "exit_code": int(code)}})
        raise typer.Exit(code) from None


def describe(error: BaseException) -> str:
    """The error in words, without a payload value: only paylog's own errors are known to hold none."""
    if isinstance(error, PaylogError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; batches that were not finished left nothing behind"
    return f"{type(error).__name__}: a defect in paylog. {DEBUG_VARIABLE}=1 shows the traceback."


def _belongs_to_typer(error: BaseException) -> bool:
    closed_pipe = isinstance(error, OSError) and error.errno == errno.EPIPE
    return closed_pipe or isinstance(error, typer.TyperException | typer.Abort)


def debugging() -> bool:
    """Whether tracebacks are wanted. They may hold payload values."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")
