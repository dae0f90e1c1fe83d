"""A contract with one feature of each kind, and hypothesis strategies for leads that fit it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.contract.text import is_missing

CONTRACT = FeatureContract(
    name="crm",
    id="lead_id",
    time="created_at",
    target=Target(column="converted", known_at="closed_at"),
    value="revenue",
    features=(
        Numeric(name="budget", required=True, range=(0.0, 500_000.0), unit="EUR"),
        Numeric(name="visits", integer=True, range=(0.0, 200.0)),
        Numeric(name="balance"),
        Categorical(name="source", required=True, categories=("web", "referral", "fair")),
        Categorical(name="größe", categories=("klein", "mittel", "groß")),
        Categorical(name="gender", categories=("f", "m"), sensitive=True, input=False),
        Boolean(name="newsletter", required=True),
        Boolean(name="existing customer"),
    ),
)
MINIMAL = {"lead_id": "L-1", "budget": 1000, "source": "web", "newsletter": True}

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_reals = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**12), 10**12)
_wholes = st.integers(-50, 400) | st.integers(-(10**60), 10**60) | st.integers(-50, 400).map(float)
_ids = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, [*range(32), 127]))),
    min_size=1,
    max_size=20,
) | st.integers(-(2**63), 2**63 - 1)
_times = st.sampled_from(["2026-03", "2026-03-31", "2026-03-31T09:30:00Z", "2026-03-31 09:30:00.123+01:00"])

leads: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "lead_id": _ids,
        "budget": _reals,
        "source": st.sampled_from(["web", "referral", "fair"]) | _texts.filter(lambda t: not is_missing(t)),
        "newsletter": st.booleans(),
    },
    optional={
        "created_at": st.none() | _times,
        "visits": st.none() | _wholes,
        "balance": st.none() | _reals,
        "größe": st.none() | st.sampled_from(["klein", "mittel", "groß"]) | _texts,
        "gender": st.none() | st.sampled_from(["f", "m"]) | _texts,
        "existing customer": st.none() | st.booleans(),
    },
)
"""Every lead here is valid: odd categories and numbers are scored and flagged."""


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A valid lead, written as JSON in one of the many ways to write it."""
    items = draw(leads.flatmap(lambda lead: st.permutations(list(lead.items()))))
    return draw(writings(items))


@st.composite
def writings(draw: st.DrawFn, items: list[tuple[str, object]]) -> bytes:
    """Key-value pairs as JSON text: order and repetition kept, escapes and spaces drawn."""
    escaped = draw(st.booleans())
    pad = draw(st.sampled_from(["", " ", "\n\t"]))
    pairs = [f"{_key(k, draw)}{pad}:{pad}{json.dumps(v, ensure_ascii=escaped)}" for k, v in items]
    return ("{" + pad + f",{pad}".join(pairs) + "}" + pad).encode()


def _key(name: str, draw: st.DrawFn) -> str:
    if draw(st.integers(0, 9)) == 0:
        return '"' + "".join(f"\\u{ord(c):04x}" for c in name) + '"'
    return json.dumps(name, ensure_ascii=False)
