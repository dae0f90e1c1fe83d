"""Who the leads are: correlated features with realistic marginals and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leadscore.data.synthetic import vocabulary as words
from leadscore.data.synthetic.arrivals import Times, hour_of, weekday_of
from leadscore.data.synthetic.streams import Floats, Streams

CategoryCodes = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MISSING = -1
"""Code of a category that is not known."""


@dataclass(frozen=True, slots=True)
class SyntheticLeads:
    """The features of some leads; arrays of one length.

    Categories are codes into the tuples of `vocabulary` (one past the end: the new category of scenario
    `new_categories`); -1 is missing. Numbers are NaN where missing. Units are those of the contract.
    """

    source: CategoryCodes
    industry: CategoryCodes
    country: CategoryCodes
    company_size: CategoryCodes
    legal_form: CategoryCodes
    language: CategoryCodes
    urgency: CategoryCodes
    founder_age: CategoryCodes
    contact_gender: CategoryCodes
    created_weekday: CategoryCodes
    created_hour: Floats
    founders: Floats
    budget: Floats
    expected_revenue: Floats
    page_views: Floats
    pricing_visits: Floats
    minutes_on_site: Floats
    downloads: Floats
    email_opens: Floats
    calls: Floats
    emails: Floats
    meetings: Floats
    first_response_hours: Floats
    reply_hours: Floats
    webinar: Bools
    referred: Bools
    has_phone: Bools
    business_email: Bools


@dataclass(frozen=True, slots=True)
class _Traits:
    """What is behind the features and in no column.

    Attributes:
        intent: How much the person wants it.
        scale: How big the undertaking is.
        shifted: Leads that scenario `covariate_shift` brings.
        newcomer: Leads that may hold new categories.
        season: Pull of the season on urgency.
    """

    intent: Floats
    scale: Floats
    shifted: Bools
    newcomer: Bools
    season: Floats


def draw_leads(
    streams: Streams, times: Times, covariate_shift: Floats, new_categories: Floats, season: Floats
) -> SyntheticLeads:
    """Draw the leads created at `times`.

    Args:
        streams: Random numbers of the block.
        times: Creation times.
        covariate_shift: Strength of that scenario per row.
        new_categories: Strength of that scenario per row.
        season: Strength of `seasonal_cycle` times the wave of the year, per row.
    """
    shifted = streams.uniform("shifted") < 0.6 * covariate_shift
    traits = _Traits(
        intent=streams.normal("intent") - 0.25 * shifted,
        scale=streams.normal("scale") - 0.7 * shifted,
        shifted=shifted,
        newcomer=streams.uniform("newcomer") < 0.35 * new_categories,
        season=season,
    )
    source = _source(streams, traits)
    industry = _newcomers(
        streams,
        "industry",
        traits.newcomer,
        _pick(streams.uniform("industry"), words.INDUSTRY_SHARES),
        len(words.INDUSTRIES),
    )
    country = np.where(
        shifted,
        _pick(streams.uniform("country"), words.SHIFTED_COUNTRY_SHARES),
        _pick(streams.uniform("country"), words.COUNTRY_SHARES),
    )
    size = np.digitize(traits.scale + 0.35 * streams.normal("company_size"), (-0.05, 0.75, 1.45, 2.05))
    hour = hour_of(times)
    tracked = streams.uniform("tracked") >= 0.08
    views = _page_views(streams, traits, source)
    meetings, calls, emails, has_phone = _contacts(streams, traits)
    return SyntheticLeads(
        source=source,
        industry=industry,
        country=country,
        company_size=size,
        legal_form=_legal_form(streams, traits, size),
        language=np.where(streams.uniform("language") < 0.72, np.asarray(words.LOCAL_LANGUAGE)[country], 1),
        urgency=_urgency(streams, traits),
        founder_age=_founder_age(streams, traits),
        contact_gender=_gender(streams, industry),
        created_weekday=weekday_of(times),
        created_hour=hour.astype(np.float64),
        founders=np.clip(
            np.floor(np.exp(0.35 + 0.30 * traits.scale + 0.45 * streams.normal("founders"))), 1, 8
        ),
        budget=_budget(streams, traits, source),
        expected_revenue=_expected_revenue(streams, traits),
        page_views=np.where(tracked, views, np.nan),
        pricing_visits=np.where(tracked, _pricing_visits(streams, traits, views), np.nan),
        minutes_on_site=np.where(
            tracked, np.round(views * np.exp(-0.2 + 0.6 * streams.normal("minutes")), 1), np.nan
        ),
        downloads=_count(streams, "downloads", -0.9 + 0.45 * traits.intent, 0.7, 12),
        email_opens=_email_opens(streams, traits),
        calls=calls,
        emails=emails,
        meetings=meetings,
        first_response_hours=_first_response(streams, hour, weekday_of(times)),
        reply_hours=_reply(streams, traits),
        webinar=streams.uniform("webinar") < _sigmoid(-2.2 + 0.6 * traits.intent),
        referred=streams.uniform("referred") < np.where(source == words.SOURCES.index("partner"), 0.82, 0.09),
        has_phone=has_phone,
        business_email=streams.uniform("business_email") < _sigmoid(-0.1 + 1.1 * traits.scale),
    )


def _source(streams: Streams, traits: _Traits) -> CategoryCodes:
    u = streams.uniform("source")
    base = np.where(traits.shifted, _pick(u, words.SHIFTED_SOURCE_SHARES), _pick(u, words.SOURCE_SHARES))
    return _newcomers(streams, "source", traits.newcomer, base, len(words.SOURCES))


def _newcomers(
    streams: Streams, name: str, newcomer: Bools, codes: CategoryCodes, new_code: int
) -> CategoryCodes:
    return np.where(newcomer & (streams.uniform(f"new {name}") < 0.6), new_code, codes)


def _legal_form(streams: Streams, traits: _Traits, size: CategoryCodes) -> CategoryCodes:
    ends = np.cumsum(np.asarray(words.LEGAL_FORM_SHARES), axis=1)[:, :-1]
    codes = (streams.uniform("legal_form")[:, None] >= ends[size]).sum(axis=1)
    return _newcomers(streams, "legal_form", traits.newcomer, codes, len(words.LEGAL_FORMS))


def _urgency(streams: Streams, traits: _Traits) -> CategoryCodes:
    pull = 0.75 * traits.intent + 0.66 * streams.normal("urgency") + 0.5 * traits.season
    codes = 3 - np.digitize(pull, (-0.35, 0.55, 1.25))
    return np.where(streams.uniform("urgency given") < 0.14, MISSING, codes)


def _founder_age(streams: Streams, traits: _Traits) -> CategoryCodes:
    codes = np.digitize(0.35 * traits.scale + 0.94 * streams.normal("founder_age"), (-1.25, -0.15, 0.75, 1.5))
    return np.where(streams.uniform("founder_age given") < 0.12, MISSING, codes)


def _gender(streams: Streams, industry: CategoryCodes) -> CategoryCodes:
    women = np.asarray((0.42, 0.50, 0.24, 0.15, 0.45, 0.62, 0.40, 0.20, 0.22, 0.48, 0.33, 0.60, 0.38))[
        industry
    ]
    codes = np.where(streams.uniform("gender") < women, 0, 1)
    return np.where(streams.uniform("gender given") < 0.06, 2, codes)


def _budget(streams: Streams, traits: _Traits, source: CategoryCodes) -> Floats:
    amount = np.exp(7.5 + 0.55 * traits.scale + 0.2 * traits.intent + 0.55 * streams.normal("budget"))
    gap = np.where(source == words.SOURCES.index("social"), 0.34, 0.19)
    return np.where(streams.uniform("budget given") < gap, np.nan, np.round(amount / 50.0) * 50.0)


def _expected_revenue(streams: Streams, traits: _Traits) -> Floats:
    amount = np.exp(11.0 + 0.95 * traits.scale + 0.6 * streams.normal("expected_revenue"))
    return np.where(streams.uniform("expected_revenue given") < 0.33, np.nan, np.round(amount / 1e3) * 1e3)


def _page_views(streams: Streams, traits: _Traits, source: CategoryCodes) -> Floats:
    offline = (source == words.SOURCES.index("partner")) | (source == words.SOURCES.index("event"))
    mean = 1.5 + 0.5 * traits.intent - 0.7 * offline + 0.35 * traits.shifted
    return _count(streams, "page_views", mean, 0.65, 120)


def _pricing_visits(streams: Streams, traits: _Traits, views: Floats) -> Floats:
    share = _sigmoid(-2.0 + 0.8 * traits.intent + 0.7 * streams.normal("pricing_visits"))
    return np.minimum(np.round(views * share), 15.0)


def _email_opens(streams: Streams, traits: _Traits) -> Floats:
    opens = _count(streams, "email_opens", 0.3 + 0.45 * traits.intent, 0.75, 30)
    return np.where(streams.uniform("email consent") < 0.21, np.nan, opens)


def _contacts(streams: Streams, traits: _Traits) -> tuple[Floats, Floats, Floats, Bools]:
    has_phone = streams.uniform("has_phone") < _sigmoid(0.9 + 0.3 * traits.intent)
    meetings = _count(streams, "meetings", -1.15 + 0.55 * traits.intent, 0.7, 6)
    calls = _count(streams, "calls", np.where(has_phone, 0.5, -1.2) + 0.15 * traits.intent, 0.7, 15)
    emails = _count(streams, "emails", 0.75 + 0.25 * traits.intent, 0.65, 40)
    return meetings, calls, emails, has_phone


def _first_response(streams: Streams, hour: CategoryCodes, weekday: CategoryCodes) -> Floats:
    closed = (hour < 8) | (hour >= 18) | (weekday >= 5)
    hours = np.exp(0.9 + 1.5 * closed + 1.0 * streams.normal("first_response"))
    return np.where(streams.uniform("responded") < 0.05, np.nan, np.round(np.minimum(hours, 500.0), 1))


def _reply(streams: Streams, traits: _Traits) -> Floats:
    silent = streams.uniform("replied") < _sigmoid(-0.55 - 0.8 * traits.intent)
    hours = np.exp(2.5 - 0.35 * traits.intent + 1.0 * streams.normal("reply"))
    return np.where(silent, np.nan, np.round(np.minimum(hours, 900.0), 1))


def _count(streams: Streams, name: str, mean: Floats, spread: float, most: int) -> Floats:
    return np.minimum(np.floor(np.exp(mean + spread * streams.normal(name))), float(most))


def _pick(u: Floats, shares: Sequence[float]) -> CategoryCodes:
    return np.searchsorted(np.cumsum(shares)[:-1], u, side="right")


def _sigmoid(x: Floats | float) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.asarray(x)))
