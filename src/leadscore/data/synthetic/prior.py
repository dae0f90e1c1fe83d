"""Label shift: the share of converters changes, what converters and others look like does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from leadscore.data.synthetic.population import Bools, SyntheticLeads
from leadscore.data.synthetic.streams import Floats, Streams
from leadscore.data.synthetic.truth import CONVERSION_RATE, probability

_LOG_ODDS = -0.7
_ROUNDS = 4


def shift_prior(
    draw: Callable[[Streams], tuple[SyntheticLeads, Floats]], streams: Streams, strength: Floats
) -> tuple[SyntheticLeads, Floats]:
    """Draw leads whose conversion rate is shifted while p(features | outcome) stays.

    By Bayes' rule the posterior odds of every lead are multiplied by the change of the prior
    odds, and the density of features is reweighted by (π'/π) p(x) + (1 - π')/(1 - π) (1 -
    p(x)). The latter by rejection: a lead turned away is replaced by a stand-in drawn anew for
    the same moment, so most leads stay who they are.

    Args:
        draw: Leads and their log-odds under streams.
        streams: Streams of the block.
        strength: Strength of the scenario per row; 1 halves the odds.

    Returns:
        The leads and their log-odds of conversion.
    """
    leads, logit = draw(streams)
    if not strength.any():
        return leads, logit
    shift = _LOG_ODDS * strength
    prior = float(np.log(CONVERSION_RATE / (1.0 - CONVERSION_RATE)))
    rate = probability(prior + shift)
    # The weight of a lead over the largest weight there is, which a certain loss has.
    odds = rate / CONVERSION_RATE * (1.0 - CONVERSION_RATE) / (1.0 - rate)
    away = np.ones(len(strength), np.bool_)
    for round_ in range(_ROUNDS):
        chance = probability(logit)
        keep = odds * chance + (1.0 - chance)
        away &= replace(streams, variant=round_).uniform("turned away") >= keep
        if not away.any():
            break
        others, other_logit = draw(replace(streams, variant=round_ + 1))
        leads = _merge(leads, others, away)
        logit = np.where(away, other_logit, logit)
    return leads, logit + shift


def _merge(leads: SyntheticLeads, others: SyntheticLeads, chosen: Bools) -> SyntheticLeads:
    def pick(name: str) -> Any:
        # Codes, numbers or truths: what the field holds.
        other: npt.NDArray[np.generic] = getattr(others, name)
        own: npt.NDArray[np.generic] = getattr(leads, name)
        return np.where(chosen, other, own)

    return SyntheticLeads(**{field.name: pick(field.name) for field in fields(SyntheticLeads)})
