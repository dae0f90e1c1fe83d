"""The pages, in the order of the navigation, and what their forms do. A new page is a line here."""

from __future__ import annotations

from typing import Final

from leadscore.console.page import ConsoleAction, ConsolePage
from leadscore.console.pages import (
    alerts,
    business,
    crm,
    drift,
    fairness,
    investigations,
    lead,
    leads,
    live,
    model,
    overview,
    releases,
)

PAGES: Final[tuple[ConsolePage, ...]] = (
    overview.PAGE,
    leads.PAGE,
    lead.PAGE,
    investigations.PAGE,
    business.PAGE,
    live.PAGE,
    alerts.PAGE,
    crm.PAGE,
    drift.PAGE,
    model.PAGE,
    releases.PAGE,
    fairness.PAGE,
)
ACTIONS: Final[tuple[ConsoleAction, ...]] = (
    releases.ANSWER,
    releases.ROLL_BACK,
    *alerts.ALERT_ACTIONS,
    *crm.CRM_ACTIONS,
    investigations.START,
)
