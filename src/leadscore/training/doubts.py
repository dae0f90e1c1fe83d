"""Suspicions of leaks: which are answered, by whom, and in which words people are told."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from leadscore.contract.leaks import Suspicion, unexplained
from leadscore.errors import BadInputError


def explained_by(columns: Iterable[Suspicion], found: Iterable[Suspicion]) -> tuple[Suspicion, ...]:
    """Suspicions of a model's figures, answered where a column explains them that was said to be known before.

    A column that alone is nearly certain makes a model that is; if nobody doubts it, the model's figures are no news.
    """
    seen = tuple(columns)
    answered = bool(seen) and not unexplained(seen)
    return tuple(msgspec.structs.replace(s, known_before=answered) if answered else s for s in found)


def check_word(word: str) -> str:
    """A person's word in the form `NAME: reason`; BadInputError unless both are there."""
    name, colon, reason = word.partition(":")
    if not (colon and name.strip() and reason.strip()):
        raise BadInputError(
            "A suspicion is accepted by a named person with a reason.",
            hint='Write --accept-suspicion "NAME: reason", such as "M. Mustermann: the field is asked in the form".',
        )
    return f"{name.strip()}: {reason.strip()}"


def say(suspicion: Suspicion) -> str:
    """One suspicion as a sentence with its column."""
    named = f"`{suspicion.column}`: " if suspicion.column else ""
    answered = (
        " The contract says that it is known before (`known_before: true`)." if suspicion.known_before else ""
    )
    return f"{named}{suspicion.sentence}{answered}"
