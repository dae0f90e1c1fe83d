"""Make a description and a unit from a column's name, so that reasons read as sentences.

`first_response_hours` becomes "First response" in hours, `num_visits` "Number of visits", `TimeOnSite` "Time
on site". A name with an abbreviation that nobody can write out for certain (`emp.var.rate`) stays as it is,
in quotes.
"""

from __future__ import annotations

import re

import msgspec

from leadscore.contract.model import Boolean, Categorical, Feature, Numeric
from leadscore.contract.plurals import many_of, one_of

_UNITS = {
    "days": "days", "hours": "hours", "hrs": "hours", "minutes": "minutes", "mins": "minutes",
    "seconds": "seconds", "secs": "seconds", "ms": "ms", "weeks": "weeks", "months": "months",
    "years": "years", "yrs": "years", "eur": "EUR", "euro": "EUR", "euros": "EUR", "usd": "USD",
    "dollar": "USD", "dollars": "USD", "gbp": "GBP", "chf": "CHF", "percentage": "%", "percent": "%",
    "km": "km", "kg": "kg", "kwh": "kWh", "mb": "MB", "gb": "GB", "sqm": "m²",
}  # fmt: skip
_SPANS = frozenset(["days", "hours", "minutes", "seconds", "weeks", "months", "years"])
_ABBREVIATIONS = {
    "avg": "average", "amt": "amount", "qty": "quantity", "prev": "previous", "dur": "duration",
    "cust": "customer", "acct": "account", "lang": "language", "tel": "telephone", "org": "organisation",
    "dept": "department", "prob": "probability", "pct": "percentage", "freq": "frequency", "ctry": "country",
    "curr": "current",
}  # fmt: skip
# Abbreviations that read like words and mean several.
_SHORTENED = frozenset(
    ["bal", "conf", "cons", "emp", "idx", "inq", "poutcome", "resp", "seg", "util", "val", "var"]
)
# A word starts as a word of a European language does, has a vowel, and a number at its end alone.
_READABLE = re.compile(
    r"\d|[a-z]\d*\Z|(?:[^\Waeiouy\d]|b[jlr]|ch[lr]?|c[lrz]|d[rw]|f[jlr]|g[hlnr]|hj|k[lnr]|pf[lr]?|pn|ph[lr]?"
    r"|p[lrs]|rh|sc[hr]?|sch[lmnrw]|shr?|s[klmnqvwz]|sp[hlr]?|str?|thr?|t[jrsw]|v[lr]|w[hr]|zw)?"
    r"[aeiouy][a-z]*\d*\Z"
)
_ACRONYMS = frozenset(
    ["b2b", "b2c", "cpc", "crm", "cta", "ctr", "erp", "gdp", "hr", "ip", "iso", "kpi", "nps", "ppc", "roi",
     "seo", "sla", "sms", "url", "utm", "uk", "us", "usa", "eu", "vat", "vip", "arr", "mrr", "sql", "mql",
     "api", "faq", "pdf", "tv"]
)  # fmt: skip
_COUNTERS = frozenset(["num", "number", "nr", "no", "cnt", "count", "counts", "n", "nb", "anzahl", "total"])
_COUNTED = frozenset(
    [
        "attempts", "attendees", "bookings", "branches", "calls", "campaigns", "cases", "chats", "children",
        "clicks", "companies", "complaints", "contacts", "contracts", "conversations", "customers", "deals",
        "demos", "devices", "downloads", "emails", "employees", "enquiries", "events", "followups", "forms",
        "founders", "inquiries", "interactions", "invoices", "items", "leads", "licenses", "licences",
        "likes", "logins", "mails", "meetings", "messages", "opens", "orders", "pages", "people", "products",
        "purchases", "questions", "quotes", "referrals", "replies", "requests", "responses", "returns",
        "reviews", "searches", "seats", "sessions", "sites", "stores", "tasks", "tickets", "touches",
        "touchpoints", "trials", "users", "views", "visitors", "visits", "webinars",
    ]
)  # fmt: skip
_PREPOSITIONS = frozenset(["about", "after", "at", "before", "by", "during", "for", "from", "in", "of", "on",
    "per", "since", "through", "to", "until", "with", "within"])  # fmt: skip
_KEPT = frozenset(["sales", "savings", "earnings", "earning", "previous", "status", "bonus", "campus",
    "analysis", "basis", "news", "series", "species", "plus", "gas", "address", "business", "access",
    "process", "class", "success", "radius", "census", "chorus", "business", "discuss", "axis", "bus",
    "canvas", "lens", "yes", "has", "is", "was"])  # fmt: skip
_ADJECTIVES = frozenset(["b2b", "b2c", "active", "new", "existing", "returning", "verified", "public",
    "private", "available", "mobile", "known", "valid", "registered", "qualified", "local", "remote",
    "weekend", "foreign", "married", "employed", "premium", "paid", "free", "online", "external", "internal",
    "recurring", "urgent"])  # fmt: skip
_MASS = frozenset(["consent", "insurance", "access", "interest", "experience", "funding", "debt", "credit",
    "support", "internet", "housing", "budget approval", "default"])  # fmt: skip
_SAYS_NOTHING = re.compile(
    r"(?:var|variable|v|x|col|column|f|feat|feature|field|attr|attribute|c|z|q)[ _-]?\d+\Z|[a-z]\Z", re.I
)


def with_phrase(feature: Feature) -> Feature:
    """The feature with a description, and a number with its unit, from its name; what it has is kept."""
    if feature.description:
        return feature
    words = _words(feature.name)
    match feature:
        case Numeric():
            phrase, unit = _number_phrase(feature, words)
            feature = msgspec.structs.replace(feature, unit=feature.unit or unit)
        case Boolean():
            phrase = _truth_phrase(words)
        case Categorical():
            phrase = _sentence(words)
    if any(map(_abbreviated, phrase.split())):
        phrase = f"“{feature.name}”"
    return msgspec.structs.replace(feature, description=phrase)


def says_nothing(name: str) -> bool:
    """Whether the name does not tell what the column holds (`Var1`, `x3`)."""
    return _SAYS_NOTHING.match(name.strip()) is not None


def _abbreviated(word: str) -> bool:
    """Whether a word cannot be read aloud (`pdays`, `euribor3m`) or is short for several things (`conf`)."""
    if word.isupper() or not word.isascii():
        return False
    word = word.lower()
    return word in _SHORTENED or not (word in _UNITS or _READABLE.match(word))


def _words(name: str) -> list[str]:
    """The words of a name in snake, kebab or camel case, abbreviations written out, acronyms in capitals."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    found = [_ABBREVIATIONS.get(word.lower(), word.lower()) for word in re.split(r"[\W_]+", spaced) if word]
    for place in range(len(found) - 2, 0, -1):
        if found[place] in {"last", "past"} and found[place + 1].isdigit():
            found[place:place] = ["in", "the"]
    return [word.upper() if word in _ACRONYMS else word for word in found] or [name]


def _number_phrase(feature: Numeric, words: list[str]) -> tuple[str, str]:
    last, first = words[-1], words[0]
    if len(words) > 1 and first in _SPANS and words[1] in _PREPOSITIONS:
        return _sentence(words), first
    counted = _counted(words, integer=feature.integer)
    if counted:
        return f"Number of {' '.join(counted)}", ""
    unit = _UNITS.get(last.lower())
    if unit is not None and len(words) > 1 and not words[-2].isdigit():
        rest = words[:-1]
        while rest[-1] in _PREPOSITIONS and len(rest) > 1:
            rest = rest[:-1]
        return _sentence(_singular(rest)), unit
    if words == ["age"]:
        return "Age", "years"
    return _sentence(_singular(words)), ""


def _counted(words: list[str], *, integer: bool) -> list[str]:
    """Return what a number counts ("page views"), or "" where it does not count."""
    if len(words) > 2 and words[0] in {"number", "no", "nr"} and words[1] == "of":
        return words[2:]
    end = next((i for i, word in enumerate(words) if i and word in _PREPOSITIONS), len(words))
    head = words[end - 1]
    if words[-1] in {"count", "counts", "cnt", "number"} and len(words) > 1:
        return _plural(words[:-1])
    if head in _COUNTED and (integer or "per" in words):
        return words[1:] if words[0] in _COUNTERS - {"total"} and len(words) > 1 else words
    if words[0] in _COUNTERS - {"total", "number"} and len(words) > 1 and integer:
        return _plural(words[1:])
    return []


def _truth_phrase(words: list[str]) -> str:
    if len(words) > 1 and words[0] == "has":
        noun = " ".join(words[1:])
        many = many_of(words[-1]) == words[-1] and words[-1] not in _KEPT
        if many or words[-1] in _MASS or noun in _MASS:
            return f"Has {noun}"
        return f"Has {'an' if noun[0].lower() in 'aeio' else 'a'} {noun}"
    if len(words) > 1 and words[0] == "is":
        noun = " ".join(words[1:])
        if words[-1].lower() in _ADJECTIVES or words[-1].endswith(
            ("ed", "ing", "able", "ive", "al", "ful", "ic")
        ):
            return f"Is {noun}"
        return f"Is {'an' if noun[0].lower() in 'aeio' else 'a'} {noun}"
    return _sentence(words)


def _sentence(words: list[str]) -> str:
    text = " ".join(words)
    return text[0].upper() + text[1:]


def _singular(words: list[str]) -> list[str]:
    """The last noun before a preposition for one.

    What is measured stands with a verb for one ("Bounce rate of 0.2").
    """
    end = next((i for i, word in enumerate(words) if i and word in _PREPOSITIONS), len(words))
    word = words[end - 1]
    kept = word in _KEPT or word.isupper() or word.endswith(("ss", "us", "is", "days"))
    if kept or len(word) < 4 or not word.endswith("s"):
        return words
    return [*words[: end - 1], one_of(word), *words[end:]]


def _plural(words: list[str]) -> list[str]:
    end = next((i for i, word in enumerate(words) if i and word in _PREPOSITIONS), len(words))
    many = words[end - 1] if words[end - 1] in _ADJECTIVES else many_of(words[end - 1])
    return [*words[: end - 1], many, *words[end:]]
