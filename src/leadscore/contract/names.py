"""Find protected attributes and identifiers by their column's name."""

from __future__ import annotations

import re

_PROTECTED = {
    "age": "age",
    "birth": "age",
    "birthdate": "age",
    "birthday": "age",
    "dob": "age",
    "gender": "sex or gender",
    "sex": "sex or gender",
    "salutation": "sex or gender",
    "marital": "marital status",
    "married": "marital status",
    "nationality": "nationality",
    "citizenship": "nationality",
    "ethnic": "ethnic origin",
    "ethnicity": "ethnic origin",
    "race": "ethnic origin",
    "religion": "religion",
    "religious": "religion",
    "disability": "disability",
    "disabled": "disability",
    "pregnant": "pregnancy",
    "pregnancy": "pregnancy",
    "orientation": "sexual orientation",
    "political": "political opinion",
    "union": "trade union membership",
    "health": "health",
}
_IDENTIFIERS = {"id", "uuid", "guid", "key", "email", "mail", "phone", "iban", "hash", "token", "url"}
_CODES = {
    "zip",
    "zipcode",
    "postcode",
    "postal",
    "plz",
    "cap",
    "code",
    "sic",
    "naics",
    "nace",
    "vat",
    "ean",
    "sku",
}
_MONEY = {
    "value",
    "revenue",
    "amount",
    "price",
    "sales",
    "income",
    "turnover",
    "umsatz",
    "betrag",
    "wert",
    "acv",
    "tcv",
    "arr",
    "mrr",
}
# Whose age it is: what stands before "age" (or after "age of"), if it is none of these, is a thing.
_PEOPLE = frozenset(
    [
        "customer",
        "client",
        "founder",
        "owner",
        "applicant",
        "user",
        "person",
        "buyer",
        "driver",
        "patient",
        "member",
        "employee",
        "borrower",
        "insured",
        "spouse",
        "child",
        "parent",
        "partner",
        "prospect",
        "respondent",
        "candidate",
        "guest",
        "visitor",
        "subscriber",
        "student",
        "holder",
        "head",
        "main",
        "primary",
        "oldest",
        "youngest",
        "average",
        "avg",
        "mean",
        "median",
        "min",
        "max",
        "minimum",
        "maximum",
        "current",
        "approx",
        "approximate",
        "estimated",
        "exact",
        "stated",
        "declared",
        "reported",
        "the",
        "s",
        "is",
    ]
)
_SPANS_OF_THINGS = frozenset(
    ["day", "days", "hour", "hours", "week", "weeks", "minute", "minutes", "seconds", "month", "months"]
)
# Words beside which another word means something else: an account's health, a credit union, a screen's
# orientation.
_ELSEWHERE = {
    "health": {
        "score",
        "index",
        "account",
        "check",
        "system",
        "pipeline",
        "site",
        "domain",
        "status",
        "deal",
        "rating",
    },
    "union": {"credit", "european", "customs", "western", "monetary"},
    "orientation": {
        "screen",
        "page",
        "device",
        "image",
        "phone",
        "market",
        "goal",
        "display",
        "customer",
        "service",
    },
    "race": {"condition", "track", "car", "horse"},
    "disabled": {
        "account",
        "user",
        "email",
        "login",
        "cookies",
        "tracking",
        "feature",
        "js",
        "javascript",
        "notifications",
    },
    "birth": {"account", "record", "lead", "company"},
}


def words_of(name: str) -> list[str]:
    """The lower-case words of a column name in snake, kebab or camel case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[^0-9a-zA-Z]+", spaced.lower()) if word]


def protected_attribute(name: str) -> str | None:
    """The protected attribute a name suggests (EU Charter art. 21, GDPR art. 9), or None."""
    words = words_of(name)
    for place, word in enumerate(words):
        attribute = _PROTECTED.get(word)
        if attribute is None or _ELSEWHERE.get(word, set[str]()).intersection(words):
            continue
        if word == "age" and _is_age_of_thing(words, place):
            continue
        return attribute
    return None


def _is_age_of_thing(words: list[str], place: int) -> bool:
    """Whether the age is that of a quote, an account, a company: a person's is not counted in days."""
    if _SPANS_OF_THINGS.intersection(words):
        return True
    if words[place + 1 : place + 2] == ["of"]:
        return not _PEOPLE.intersection(words[place + 2 :])
    return place > 0 and words[place - 1] not in _PEOPLE


def names_code(name: str) -> bool:
    """Whether a name is that of a code that looks like a number.

    A postcode, a tax number, a code of some list.
    """
    return bool(_CODES.intersection(words_of(name)))


def names_money(name: str) -> bool:
    """Whether a name is that of an amount of money: a column that may be the revenue of a won lead."""
    return bool(_MONEY.intersection(words_of(name)))


def names_identifier(name: str) -> bool:
    """Whether a name ends like that of an identifier or a contact detail."""
    words = words_of(name)
    return bool(words) and words[-1] in _IDENTIFIERS
