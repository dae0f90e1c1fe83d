"""What the pages for sales have in common: models for reasons, links to a lead, words."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal
from urllib.parse import urlencode

from dash import html
from dash.development.base_component import Component

from leadscore.console.page import PageRequest, VerdictLevel
from leadscore.investigation.document import StepState
from leadscore.investigation.models import ModelShelf
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home

STEP_LEVELS: Final[dict[StepState, VerdictLevel]] = {
    "ok": "good",
    "attention": "warning",
    "unknown": "unknown",
}


def shelf_of(request: PageRequest, purpose: Literal["list", "change"]) -> ModelShelf:
    """Models that stay open between requests: for the reasons of many leads, or for what changed one."""
    return _shelf(request.home, purpose)


def lead_link(lead_id: str) -> Component:
    """A link to the lead's own page."""
    return html.A(lead_id, href=f"/lead?{urlencode({'id': lead_id})}")


@cache
def _shelf(home: Home, purpose: Literal["list", "change"]) -> ModelShelf:
    return ModelShelf(
        ModelRegistry(home, with_mlflow=False), backend="auto" if purpose == "list" else "numpy"
    )
