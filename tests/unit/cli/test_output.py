"""Tables show cells as they are."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from leadscore.cli.output import table


def test_cells_that_look_like_markup_are_shown_as_they_are() -> None:
    page = io.StringIO()
    Console(file=page, width=80).print(table("t", ["category"], [["[bold]"], [None]]))
    assert "[bold]" in page.getvalue()
    assert "–" in page.getvalue()


def test_lines_are_broken_between_words_while_that_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    narrow = Console(file=page, width=60)
    monkeypatch.setattr("leadscore.cli.output.console", narrow)
    cells = ["first_response_hours", "significant", "1.2% → 31.4%", "12.31 → 48.92"]
    narrow.print(table("", ["feature", "severity", "missing or unlisted", "mean"], [cells], right=["mean"]))
    shown = page.getvalue().split()
    assert {"first_response_hours", "significant", "31.4%", "48.92", "unlisted"} <= set(shown)
    assert max(len(line) for line in page.getvalue().splitlines()) <= 60
