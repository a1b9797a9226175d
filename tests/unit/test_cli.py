"""The command line without a store or a data mart: checks, errors, exit codes, help, start-up."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from paylog.cli.answer import printable
from paylog.cli.app import app
from paylog.cli.exit_code import ExitCode, describe
from paylog.cli.reports import Failed
from paylog.cli.stoppable import stoppable
from paylog.errors import (
    AccessDenied,
    ConfigurationError,
    ErrorBudgetExceeded,
    ObjectChanged,
    RetriableError,
    TruncatedStream,
    UnbalancedReceipt,
)
from paylog.subscription import json_schema

SUBSCRIPTIONS = Path(__file__).parents[2] / "subscriptions"
COMMANDS = (
    ["check"], ["schema"], ["schema", "diff"], ["plan"], ["run"], ["backfill"], ["replay"], ["retract"],
    ["watermark"], ["status"], ["quarantine"], ["quarantine", "list"], ["quarantine", "show"], ["engines"],
    ["inspect"], ["doctor"], ["maintain"], ["alerts"],
)  # fmt: skip
_STARTED = "import sys; sys.argv[0] = 'paylog'; from paylog.cli import main\n"
_LOADED = """
try:
    main()
except SystemExit as end:
    heavy = {"pyarrow", "pandas", "numpy", "ibm_boto3", "sqlalchemy", "psycopg", "airflow", "msgspec"}
    print("HEAVY", sorted(heavy & set(sys.modules)), end.code)
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("PAYLOG_", "AIRFLOW_CONN_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TERMINAL_WIDTH", "100")
    monkeypatch.chdir(tmp_path)


def paylog(*arguments: object) -> Any:
    """The result of a command: exit_code, stdout, stderr."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def broken_folder(tmp_path: Path) -> Path:
    """Two wrong files beside a good one."""
    shutil.copy(SUBSCRIPTIONS / "churn.yaml", tmp_path / "churn.yaml")
    text = (SUBSCRIPTIONS / "credit_risk.yaml").read_text(encoding="utf-8")
    (tmp_path / "credit.yaml").write_text(text.replace("class_labels:", "class_label:"), encoding="utf-8")
    (tmp_path / "empty.yaml").write_text("", encoding="utf-8")
    return tmp_path


def test_check_of_good_subscriptions() -> None:
    result = paylog("check", SUBSCRIPTIONS)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "subscriptions: 4 good: churn, churn-kserve, credit-risk, credit-risk-azure\n"


def test_check_prints_every_problem_of_every_file(tmp_path: Path) -> None:
    result = paylog("check", broken_folder(tmp_path))
    assert result.exit_code == ExitCode.CONFIGURATION
    assert "credit.yaml" in result.stdout
    assert "did you mean 'class_labels'?" in result.stdout
    assert "empty.yaml:1: the file is empty" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("subscriptions: 1 good: churn, ")


def test_check_as_json(tmp_path: Path) -> None:
    result = paylog("check", broken_folder(tmp_path), "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == ExitCode.CONFIGURATION
    assert document["subscriptions"] == ["churn"]
    assert len(document["problems"]) >= 2
    assert document["connections"] == []


def test_the_folder_comes_from_the_argument_else_the_environment_else_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert paylog("check").exit_code == ExitCode.CONFIGURATION
    shutil.copytree(SUBSCRIPTIONS, tmp_path / "subscriptions")
    assert paylog("check").exit_code == 0
    monkeypatch.setenv("PAYLOG_SUBSCRIPTIONS", str(tmp_path / "elsewhere"))
    assert "elsewhere: no such file or folder" in paylog("check").stdout
    assert paylog("check", SUBSCRIPTIONS).exit_code == 0


def test_an_empty_folder_is_not_found(tmp_path: Path) -> None:
    result = paylog("check", tmp_path)
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "no subscriptions (*.yaml)" in result.stderr


def test_check_of_connections_names_each_variable_that_is_missing() -> None:
    result = paylog("check", SUBSCRIPTIONS, "--connections", "--json")
    probes = json.loads(result.stdout)["connections"]
    assert result.exit_code == ExitCode.CONFIGURATION
    assert [(p["subscription"], p["use"], p["ok"]) for p in probes] == [
        *((name, use, False)
          for name in ("churn", "churn-kserve", "credit-risk")
          for use in ("scoring logs", "data mart")),
        ("credit-risk", "training data", False),
        ("credit-risk-azure", "scoring logs", False), ("credit-risk-azure", "data mart", False),
    ]  # fmt: skip
    assert all("AIRFLOW_CONN_PAYLOG_" in probe["said"] for probe in probes)


def test_schema_is_that_of_the_subscriptions(tmp_path: Path) -> None:
    assert json.loads(paylog("schema").stdout) == json_schema()
    assert paylog("schema", "--write", tmp_path / "s.json").exit_code == 0
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == json_schema()


def test_schema_into_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    result = paylog("schema", "--write", tmp_path / "no" / "s.json")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "cannot be written: No such file or directory" in result.stderr


@pytest.mark.parametrize("command", [["plan"], ["run"], ["status"], ["quarantine", "list"]])
def test_an_unknown_subscription_is_not_found(command: list[str]) -> None:
    result = paylog(*command, "chrun", "--subscriptions", SUBSCRIPTIONS)
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "no subscription 'chrun'" in result.stderr
    assert "did you mean 'churn'?" in result.stderr
    assert result.stdout == ""


def test_an_error_is_one_json_document_too() -> None:
    result = paylog("status", "nobody", "--subscriptions", SUBSCRIPTIONS, "--json")
    error = json.loads(result.stdout)["error"]
    assert error["exit_code"] == result.exit_code == ExitCode.NOT_FOUND
    assert error["kind"] == "NotFoundError"


def test_a_wrong_file_of_another_subscription_is_no_hindrance(tmp_path: Path) -> None:
    folder = broken_folder(tmp_path)
    assert "AIRFLOW_CONN_" in paylog("plan", "churn", "--subscriptions", folder).stderr
    missing = paylog("plan", "credit-risk", "--subscriptions", folder)
    assert missing.exit_code == ExitCode.CONFIGURATION
    assert "did you mean 'class_labels'?" in missing.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--from", "yesterday"], "--from 'yesterday' is not a time; write it like"),
        (["--from", "2024-03-05", "--to", "2024-03-04"], "the window is empty"),
        (["--from", "2024-03-05", "--to", "2024-03-05"], "the window is empty"),
        (["--from", "2124-03-05"], "the window is empty"),
    ],
)
def test_wrong_windows(options: list[str], message: str) -> None:
    result = paylog("plan", "churn", "--subscriptions", SUBSCRIPTIONS, *options)
    assert result.exit_code == ExitCode.CONFIGURATION
    assert message in result.stderr


@pytest.mark.parametrize("arguments", [["run"], ["nonsense"], ["run", "churn", "--batch-size", "much"],
                                       ["run", "churn", "--workers", "0"],
                                       ["quarantine", "list", "churn", "--reason", "BAD_LUCK"]])  # fmt: skip
def test_usage_errors(arguments: list[str]) -> None:
    result = paylog(*arguments)
    assert result.exit_code == ExitCode.CONFIGURATION
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    result = paylog(*command, "--help")
    assert result.exit_code == 0
    assert command == ["quarantine"] or f"Example:  paylog {' '.join(command)}" in result.stdout


def test_help_explains_the_exit_codes() -> None:
    said = paylog("--help").stdout
    for code in ExitCode:
        assert any(line.split()[:1] == [str(int(code))] for line in said.splitlines()), code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), 2),
        (ErrorBudgetExceeded("x"), 4),
        (AccessDenied("x"), 5),
        (UnbalancedReceipt("x"), 5),
        (RetriableError("x"), 75),
        (ObjectChanged("x"), 75),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes_of_errors(error: BaseException, code: int) -> None:
    assert ExitCode.of(error) == code


def test_a_foreign_error_does_not_get_to_say_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: object) -> None:
        raise ValueError("Jane Doe, 42")

    monkeypatch.setattr("paylog.subscription.read_subscriptions", fail)
    result = paylog("check")
    assert result.exit_code == ExitCode.DEFECT
    assert "ValueError: a defect in paylog" in result.stderr
    assert "Jane" not in result.output
    monkeypatch.setenv("PAYLOG_DEBUG", "1")
    assert isinstance(paylog("check").exception, ValueError)


def test_only_faults_of_a_batch_let_the_others_go_on() -> None:
    assert not Failed.by(ErrorBudgetExceeded("x"), "0000").fatal
    assert not Failed.by(TruncatedStream("x", 1), "0000").fatal
    assert Failed.by(AccessDenied("x"), "0000").fatal
    assert Failed.by(RetriableError("x"), "0000").fatal
    assert "Jane" not in Failed.by(ValueError("Jane Doe"), "0000").message


def test_an_interruption_in_words() -> None:
    assert "left nothing behind" in describe(KeyboardInterrupt())


def test_what_others_wrote_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc\u202e\x07é") == "a\\x1b[31mb\nc\\u202e\\x07é"


def _children_seconds() -> float:
    """CPU seconds of processes that ended: unlike the clock, no matter of what else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("arguments", [["--help"], ["check", str(SUBSCRIPTIONS)], ["schema"]], ids=str)
def test_starting_is_fast_and_imports_nothing_heavy(arguments: list[str]) -> None:
    seconds = []
    for _ in range(3):
        began = _children_seconds()
        done = subprocess.run(
            [sys.executable, "-c", _STARTED + _LOADED, *arguments],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        seconds.append(_children_seconds() - began)
        assert done.stdout.splitlines()[-1] == "HEAVY [] 0"
    assert min(seconds) < 0.5


def interrupted_driver(number: signal.Signals) -> None:
    with stoppable() as go_on:
        go_on()
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            raise RetriableError("the link was lost") from None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_turns_an_interruption_into_an_error_does_not_undo_it(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        interrupted_driver(number)
    assert signal.getsignal(number) is before


def test_an_error_without_an_interruption_stays_what_it_is() -> None:
    with pytest.raises(RetriableError), stoppable():
        raise RetriableError("the link was lost")
