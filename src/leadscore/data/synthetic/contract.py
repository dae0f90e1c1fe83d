"""The feature contract of the synthetic CRM."""

from __future__ import annotations

from leadscore.contract import Boolean, Categorical, Feature, FeatureContract, Numeric, Target
from leadscore.data.synthetic import vocabulary as words


def synthetic_contract() -> FeatureContract:
    """What the columns of the synthetic CRM mean: 27 inputs, and the contact's gender for fairness only."""
    return FeatureContract(
        name="company-formation leads",
        id="lead_id",
        time="created_at",
        target=Target(column="converted", positive=1, known_at="outcome_known_at"),
        value="revenue",
        features=(*_company(), *_wishes(), *_web(), *_contacts(), *_person(), *_creation()),
    )


def _company() -> tuple[Feature, ...]:
    return (
        Categorical(name="source", categories=words.SOURCES, required=True, description="Lead source."),
        Categorical(
            name="industry", categories=words.INDUSTRIES, description="Industry of the planned company."
        ),
        Categorical(
            name="country", categories=words.COUNTRIES, description="Country of the contact (ISO 3166)."
        ),
        Categorical(
            name="company_size",
            categories=words.COMPANY_SIZES,
            description="Company size expected in the first year.",
        ),
        Categorical(name="legal_form", categories=words.LEGAL_FORMS, description="Legal form wanted."),
    )


def _wishes() -> tuple[Feature, ...]:
    return (
        Numeric(name="budget", range=(0.0, 100_000.0), unit="EUR", description="Budget for the formation."),
        Numeric(
            name="expected_revenue",
            range=(0.0, 20_000_000.0),
            unit="EUR",
            description="Revenue expected in the first year.",
        ),
        Categorical(name="urgency", categories=words.URGENCIES, description="Start wanted."),
        _count("founders", 8, "Number of founders.", least=1),
    )


def _web() -> tuple[Feature, ...]:
    return (
        _count("page_views", 120, "Number of pages seen; missing without consent to tracking."),
        _count(
            "pricing_visits", 15, "Number of visits to the pricing page; missing without consent to tracking."
        ),
        Numeric(
            name="minutes_on_site",
            range=(0.0, 1_500.0),
            unit="min",
            description="Time on the site; missing without consent.",
        ),
        _count("downloads", 12, "Number of documents downloaded."),
        _count("email_opens", 30, "Number of campaign e-mails opened; missing without consent to e-mail."),
        Boolean(name="webinar", description="Has a webinar attendance."),
    )


def _contacts() -> tuple[Feature, ...]:
    return (
        _count("calls", 15, "Number of calls with the contact."),
        _count("emails", 40, "Number of e-mails exchanged."),
        _count("meetings", 6, "Number of meetings held."),
        Numeric(
            name="first_response_hours",
            range=(0.0, 500.0),
            unit="h",
            description="Time until sales answered; missing: not yet.",
        ),
        Numeric(
            name="reply_hours",
            range=(0.0, 900.0),
            unit="h",
            description="Time until the contact replied; missing: never.",
        ),
    )


def _person() -> tuple[Feature, ...]:
    return (
        Boolean(name="referred", description="Has a recommendation by a customer or partner."),
        Boolean(name="has_phone", description="Has a telephone number."),
        Boolean(name="business_email", description="Has an e-mail address under the company's own domain."),
        Categorical(name="language", categories=words.LANGUAGES,
            description="Preferred language (ISO 639-1)."),
        Categorical(
            name="founder_age", categories=words.FOUNDER_AGES, sensitive=True,
            description="Age band of the main founder."
        ),
        Categorical(
            name="contact_gender", categories=words.GENDERS, sensitive=True, input=False,
            description="Gender of the contact as stated; never enters the model.",
        ),
    )  # fmt: skip


def _creation() -> tuple[Feature, ...]:
    return (
        Numeric(name="created_hour", range=(0.0, 23.0), integer=True, description="Hour of creation (UTC)."),
        Categorical(
            name="created_weekday", categories=words.WEEKDAYS, description="Weekday of creation (UTC)."
        ),
    )


def _count(name: str, most: int, description: str, least: int = 0) -> Numeric:
    return Numeric(name=name, range=(float(least), float(most)), integer=True, description=description)
