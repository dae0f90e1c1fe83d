"""The adapter's own part; alibi-detect itself runs in tests/integration/drift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.drift.multivariate.alibi import (
    PYTHON_VARIABLE,
    AlibiFailedError,
    alibi_python,
    run_alibi,
    watched_columns,
)
from leadscore.errors import BadInputError, UnavailableError

TARGET = Target(column="converted")
MIXED = FeatureContract(
    name="mixed",
    id="lead_id",
    target=TARGET,
    features=(Numeric(name="a"), Categorical(name="b", categories=("x", "y")), Boolean(name="c")),
)


def test_missing_environment_names_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UnavailableError, match="make drift-alibi"):
        alibi_python()


def test_unfinished_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    python = tmp_path / "leadscore" / "alibi-detect" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    with pytest.raises(UnavailableError):
        alibi_python()
    (tmp_path / "leadscore" / "alibi-detect" / "complete").touch()
    assert alibi_python() == python


def test_a_detector_that_dies_gives_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'no such detector' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(python))
    with pytest.raises(AlibiFailedError, match="no such detector"):
        run_alibi("KSDrift", MIXED, np.zeros((5, 3), np.float32), [np.zeros((5, 3), np.float32)])


def test_silence_is_not_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, "/bin/true")
    with pytest.raises(AlibiFailedError, match="no answer"):
        run_alibi("KSDrift", MIXED, np.zeros((5, 3), np.float32), [np.zeros((5, 3), np.float32)])


def test_chi_square_sees_categories_only() -> None:
    assert watched_columns("ChiSquareDrift", MIXED) == [1]
    assert watched_columns("KSDrift", MIXED) == [0, 1, 2]
    numbers = FeatureContract(name="n", id="lead_id", target=TARGET, features=(Numeric(name="a"),))
    with pytest.raises(BadInputError):
        watched_columns("ChiSquareDrift", numbers)
