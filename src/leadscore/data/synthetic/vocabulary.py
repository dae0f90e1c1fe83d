"""The words of the synthetic CRM: categories, how common they are, and what goes with what."""

from __future__ import annotations

SOURCES = (
    "organic_search", "paid_search", "social", "partner", "direct", "email_campaign", "event", "marketplace",
)  # fmt: skip
SOURCE_SHARES = (0.24, 0.20, 0.13, 0.09, 0.14, 0.09, 0.04, 0.07)
# Where leads come from once the marketing budget has moved.
SHIFTED_SOURCE_SHARES = (0.12, 0.10, 0.36, 0.03, 0.06, 0.05, 0.02, 0.26)

INDUSTRIES = (
    "consulting", "ecommerce", "software", "construction", "hospitality", "health", "real_estate",
    "logistics", "manufacturing", "media", "finance", "education",
)  # fmt: skip
INDUSTRY_SHARES = (0.16, 0.15, 0.14, 0.09, 0.09, 0.07, 0.08, 0.05, 0.05, 0.06, 0.03, 0.03)

COUNTRIES = ("DE", "AT", "CH", "NL", "FR", "GB", "PL", "EE", "ES", "IT", "US", "IN")
COUNTRY_SHARES = (0.31, 0.09, 0.07, 0.08, 0.08, 0.09, 0.06, 0.05, 0.05, 0.05, 0.04, 0.03)
SHIFTED_COUNTRY_SHARES = (0.15, 0.04, 0.03, 0.05, 0.07, 0.08, 0.17, 0.06, 0.13, 0.11, 0.04, 0.07)

LANGUAGES = ("de", "en", "nl", "fr", "pl", "et", "es", "it")
# The first language of each country, in the order of COUNTRIES.
LOCAL_LANGUAGE = (0, 0, 0, 2, 3, 1, 4, 5, 6, 7, 1, 1)

COMPANY_SIZES = ("solo", "2-5", "6-20", "21-100", "100+")

LEGAL_FORMS = ("sole_trader", "partnership", "limited", "corporation", "branch", "nonprofit", "undecided")
# Rows: COMPANY_SIZES.
LEGAL_FORM_SHARES = (
    (0.34, 0.05, 0.32, 0.02, 0.01, 0.04, 0.22),
    (0.08, 0.18, 0.47, 0.04, 0.02, 0.05, 0.16),
    (0.01, 0.10, 0.60, 0.10, 0.06, 0.04, 0.09),
    (0.00, 0.05, 0.52, 0.21, 0.14, 0.03, 0.05),
    (0.00, 0.02, 0.33, 0.33, 0.27, 0.02, 0.03),
)

URGENCIES = ("now", "this_month", "this_quarter", "exploring")
FOUNDER_AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
GENDERS = ("female", "male", "undisclosed")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# What scenario `new_categories` brings: the contract does not list these.
NEW_SOURCE = "ai_assistant"
NEW_INDUSTRY = "energy_community"
NEW_LEGAL_FORM = "steward_owned"
