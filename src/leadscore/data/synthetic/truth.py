"""Why leads convert: the true log-odds, with thresholds, saturation and interactions.

The truth is a function of the recorded features alone (a gap counts as a gap), so the Bayes-optimal score is
attainable in principle. What is left is chance: `SPREAD` and `BASE` are set so that the area under the ROC
curve of the true probability is 0.875 at a conversion rate of 13.5 % (docs/synthetic-crm.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leadscore.data.synthetic.population import CategoryCodes, SyntheticLeads
from leadscore.data.synthetic.streams import Floats

SPREAD = 0.957
BASE = -4.03
CONVERSION_RATE = 0.135

# Each table: one effect per category, then one for the category that is new, then one for missing.
_SOURCE = (0.10, -0.25, -0.65, 0.70, 0.20, 0.00, 0.55, -0.45, 0.45, 0.0)
_SOURCE_LATER = (-0.10, 0.05, 0.10, 0.35, 0.00, -0.40, -0.10, 0.25, 0.45, 0.0)
_INDUSTRY = (0.25, 0.05, 0.40, -0.10, -0.45, 0.30, 0.10, -0.20, -0.05, -0.35, 0.45, -0.10, -0.30, 0.0)
_COUNTRY = (0.20, 0.15, 0.30, 0.10, -0.15, 0.05, -0.20, 0.35, -0.25, -0.30, -0.10, -0.55)
_SIZE = (-0.35, 0.10, 0.30, 0.25, -0.15)
_FORM = (-0.25, 0.00, 0.35, 0.25, 0.20, -0.30, -0.55, 0.15, 0.0)
_URGENCY = (0.95, 0.50, -0.05, -0.85, -0.20)
_AGE = (-0.20, 0.05, 0.15, 0.05, -0.10, 0.0)

_NOW, _EXPLORING = 0, 3
_PAID, _SOCIAL = 1, 2
_SOLO, _LARGE = 0, 3
_LIMITED, _CORPORATION, _UNDECIDED = 2, 3, 6
_SOFTWARE, _HOSPITALITY = 2, 4
_ENGLISH = 1


def true_logit(leads: SyntheticLeads, concept_drift: Floats, season: Floats) -> Floats:
    """Log-odds of conversion per lead.

    Args:
        leads: Features as the lead gave them.
        concept_drift: Strength of that scenario per row.
        season: Strength of `seasonal_cycle` times the wave of the year, per row.
    """
    mixed = np.clip(concept_drift, 0.0, 1.0)
    raw = _lasting(leads) + (1.0 - mixed) * _before(leads) + mixed * _after(leads)
    return BASE + SPREAD * raw + 0.45 * season


def probability(logit: Floats) -> Floats:
    """The logistic function."""
    return 1.0 / (1.0 + np.exp(-logit))


def _lasting(leads: SyntheticLeads) -> Floats:
    """Effects that no scenario changes."""
    views = _known(leads.page_views, 3.0)
    replied = ~np.isnan(leads.reply_hours)
    reply = np.where(replied, 0.75 * np.exp(-_known(leads.reply_hours, 0.0) / 18.0), -0.65)
    response = -0.9 * (1.0 - np.exp(-_known(leads.first_response_hours, 30.0) / 14.0))
    meetings = 1.15 * (leads.meetings >= 1) + 0.35 * (leads.meetings >= 2)
    # Three calls help; ten mean that nobody wants to talk.
    calls = 0.25 * np.minimum(leads.calls, 3.0) - 0.18 * np.maximum(leads.calls - 4.0, 0.0)
    emails = 0.35 * np.tanh(leads.emails / 4.0)
    web = 0.7 * (1.0 - np.exp(-views / 7.0)) + 0.25 * np.tanh(_known(leads.minutes_on_site, 4.0) / 12.0)
    opens = 0.35 * (_known(leads.email_opens, 0.0) >= 2) - 0.15 * np.isnan(leads.email_opens)
    night_bot = (
        (leads.source == _PAID) & (leads.created_hour < 6) & (_known(leads.minutes_on_site, 9.0) < 2.0)
    )
    return (
        _effect(_INDUSTRY, leads.industry)
        + _effect(_COUNTRY, leads.country)
        + _effect(_AGE, leads.founder_age)
        + _effect(_FORM, leads.legal_form)
        + reply + response + meetings + calls + emails + web + opens
        - 1.5 * night_bot
        + 0.20 * leads.has_phone
        + 0.25 * leads.webinar * (1.0 + 0.5 * np.minimum(leads.downloads, 2.0))
        + 0.45 * leads.referred * np.where(leads.business_email, 1.3, 0.6)
        + 0.15 * ((leads.founders >= 2) & (leads.founders <= 3))
        - 0.20 * (leads.created_weekday >= 5)
        + _fit(leads)
    )  # fmt: skip


def _fit(leads: SyntheticLeads) -> Floats:
    """Interactions."""
    large = leads.company_size >= _LARGE
    spoken = np.where(leads.language == _ENGLISH, 0.0, 0.15)
    thin = (leads.legal_form == _CORPORATION) & (_known(leads.budget, 2500.0) < 2500.0)
    revenue = np.log1p(_known(leads.expected_revenue, 60_000.0) / 60_000.0)
    return (
        _effect(_SIZE, leads.company_size)
        + np.where(large, 0.55, -0.05) * np.where(leads.business_email, 1.0, -1.0)
        - 0.7 * thin
        + 0.30 * np.tanh(revenue)
        + 0.40 * ((leads.industry == _SOFTWARE) & (leads.legal_form == _LIMITED))
        - 0.50 * ((leads.industry == _HOSPITALITY) & (leads.company_size == _SOLO))
        - 0.30 * ((leads.legal_form == _UNDECIDED) & (leads.urgency == _EXPLORING))
        + spoken
    )


def _before(leads: SyntheticLeads) -> Floats:
    """Effects that `concept_drift` takes away."""
    pricing = _known(leads.pricing_visits, 0.0)
    budget = np.log(_known(leads.budget, 1200.0) + 100.0) - np.log(1500.0)
    waiting = _known(leads.first_response_hours, 30.0) > 6.0
    return (
        _effect(_SOURCE, leads.source)
        + _effect(_URGENCY, leads.urgency)
        - 0.75 * ((leads.urgency == _NOW) & waiting)
        + 0.38 * np.minimum(pricing, 3.0) * np.where(leads.source == _SOCIAL, 0.3, 1.0)
        + 0.55 * np.tanh(1.2 * budget)
        - 0.25 * np.isnan(leads.budget)
    )


def _after(leads: SyntheticLeads) -> Floats:
    """Effects that `concept_drift` brings.

    A cheaper competitor takes those who are in a hurry and compare prices; who stays has a small budget,
    reads what we write, and does not found alone.
    """
    pricing = _known(leads.pricing_visits, 0.0)
    budget = np.log(_known(leads.budget, 1200.0) + 100.0) - np.log(1500.0)
    return (
        1.5 * _effect(_SOURCE_LATER, leads.source)
        - 0.15 * np.minimum(pricing, 3.0)
        - 1.30 * np.tanh(1.2 * budget)
        + 1.10 * (leads.founders >= 2)
        + 0.45 * np.minimum(_known(leads.email_opens, 0.5), 4.0)
        + 0.60 * np.minimum(leads.downloads, 3.0)
        - 0.55
    )


def _effect(table: Sequence[float], codes: CategoryCodes) -> Floats:
    return np.asarray(table)[codes]


def _known(numbers: Floats, otherwise: float) -> npt.NDArray[np.float64]:
    return np.where(np.isnan(numbers), otherwise, numbers)
