"""Tables show cells as they are."""

from __future__ import annotations

import io

from rich.console import Console

from leadscore.cli.output import table


def test_cells_that_look_like_markup_are_shown_as_they_are() -> None:
    page = io.StringIO()
    Console(file=page, width=80).print(table("t", ["category"], [["[bold]"], [None]]))
    assert "[bold]" in page.getvalue()
    assert "–" in page.getvalue()
