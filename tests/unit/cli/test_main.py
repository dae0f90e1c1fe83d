"""The command line: light to start, and every error becomes a sentence and a documented exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from leadscore.cli import main, output
from leadscore.errors import (
    ExitCode,
    FieldProblem,
    InvalidLeadError,
    LeadScoreError,
    NotFoundError,
    RefusedError,
)

HEAVY = [
    "mlflow",
    "xgboost",
    "lightgbm",
    "pyarrow",
    "optuna",
    "bentoml",
    "pandas",
    "scipy",
    "sqlalchemy",
    "numpy",
]


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys; from leadscore.cli import main; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_every_command_of_the_readme() -> None:
    text = CliRunner().invoke(main.app, ["--help"]).output
    for command in ("contract", "data", "train", "models", "serve", "score", "explain", "outcomes", "bench"):
        assert command in text


@pytest.mark.parametrize(
    "command",
    [[c] for c in ("contract", "data", "models", "outcomes", "keys", "events")]
    + [["contract", c] for c in ("infer", "check", "diff", "schema")]
    + [["models", c] for c in ("list", "show", "compare", "fetch", "promote", "rollback", "archive")]
    + [
        ["data", "generate"],
        ["train"],
        ["evaluate"],
        ["serve"],
        ["score"],
        ["explain"],
        ["outcomes", "import"],
        ["bench"],
    ],
    ids=" ".join,
)
def test_each_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(main.app, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.output) > 100


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (
            NotFoundError("No model 'leads'.", hint="`leadscore models list` shows what there is."),
            ExitCode.NOT_FOUND,
        ),
        (RefusedError("Only 12 rows.", hint="10,000 are needed."), ExitCode.REFUSED),
    ],
)
def test_an_error_becomes_a_sentence_a_hint_and_its_exit_code(
    error: LeadScoreError,
    exit_code: ExitCode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing = typer.Typer()

    @failing.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "app", lambda: failing([], standalone_mode=False))
    with pytest.raises(SystemExit) as stopped:
        main.run()
    assert stopped.value.code == exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"error[{error.code}]: {error.message}" in captured.err
    assert error.hint in captured.err


def test_bad_fields_are_listed_one_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error(InvalidLeadError([FieldProblem("budget", "wrong_type", "string", "a number")]))
    assert "  budget: wrong_type, received string, allowed a number" in capsys.readouterr().err


def test_json_output_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"rows": 3}, "never shown", as_json=True)
    assert json.loads(capsys.readouterr().out) == {"rows": 3}


def test_unknown_option_is_a_usage_error() -> None:
    script = Path(sys.executable).with_name("leadscore")
    done = subprocess.run(
        [script, "models", "list", "--no-such-option"], capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.USAGE
    assert "--no-such-option" in done.stderr


def test_version_is_printed_and_nothing_else() -> None:
    result = CliRunner().invoke(main.app, ["--version"])
    assert result.exit_code == 0
    assert result.output.split()[0] == "leadscore"
