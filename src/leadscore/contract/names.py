"""What a column's name tells: attributes that the law protects, and identifiers."""

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
# "company_age", "page age": the age of a thing is not a person's.
_OF_THINGS = {"company", "account", "firm", "lead", "record", "page", "session", "domain", "site", "contact"}


def words_of(name: str) -> list[str]:
    """The lower-case words of a column name in snake, kebab or camel case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[^0-9a-zA-Z]+", spaced.lower()) if word]


def protected_attribute(name: str) -> str | None:
    """The protected attribute a name suggests (EU Charter art. 21, GDPR art. 9), or None."""
    words = words_of(name)
    for word in words:
        attribute = _PROTECTED.get(word)
        if attribute is not None and not (word == "age" and _OF_THINGS.intersection(words)):
            return attribute
    return None


def names_identifier(name: str) -> bool:
    """Whether a name ends like that of an identifier or a contact detail."""
    words = words_of(name)
    return bool(words) and words[-1] in _IDENTIFIERS
