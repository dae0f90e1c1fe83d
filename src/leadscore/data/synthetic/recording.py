"""What the CRM records of a lead: scenarios that change the data and leave the lead as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from leadscore.data.synthetic.population import MISSING, SyntheticLeads
from leadscore.data.synthetic.streams import Floats, Streams

CENTS = 100.0


def record(
    leads: SyntheticLeads, streams: Streams, missingness: Floats, pipeline_bug: Floats
) -> SyntheticLeads:
    """The leads as recorded; the last two are strengths of scenarios per row."""
    return _break_units(_ask_less(leads, streams, missingness), streams, pipeline_bug)


def _ask_less(leads: SyntheticLeads, streams: Streams, strength: Floats) -> SyntheticLeads:
    # One draw per lead: who gets the short form is asked none of it, so gaps come together.
    short_form = streams.uniform("short form") < 0.55 * strength
    unlogged = streams.uniform("unlogged") < 0.4 * strength
    return replace(
        leads,
        budget=np.where(short_form, np.nan, leads.budget),
        urgency=np.where(short_form, MISSING, leads.urgency),
        reply_hours=np.where(unlogged, np.nan, leads.reply_hours),
        email_opens=np.where(unlogged, np.nan, leads.email_opens),
    )


def _break_units(leads: SyntheticLeads, streams: Streams, strength: Floats) -> SyntheticLeads:
    new_release = streams.uniform("new release") < strength
    return replace(
        leads,
        budget=np.where(new_release, leads.budget * CENTS, leads.budget),
        minutes_on_site=np.where(new_release, np.nan, leads.minutes_on_site),
    )
