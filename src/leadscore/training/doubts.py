"""Suspicions of leaks: which are answered, by whom, and their sentences for people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from leadscore.contract.leaks import Suspicion, unexplained
from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import ArtefactError, BadInputError, RefusedError
from leadscore.scoring.artefact import METRICS


def explained_by(columns: Iterable[Suspicion], found: Iterable[Suspicion]) -> tuple[Suspicion, ...]:
    """Suspicions of a model's figures, answered where a column that was known before explains them.

    A column that alone predicts nearly surely makes such a model: where the column is answered for, the model
    is too.
    """
    seen = tuple(columns)
    answered = bool(seen) and not unexplained(seen)
    return tuple(msgspec.structs.replace(s, known_before=answered) if answered else s for s in found)


def check_word(word: str) -> str:
    """Check a person's answer of the form `NAME: reason`; BadInputError unless both are there."""
    name, colon, reason = word.partition(":")
    if not (colon and name.strip() and reason.strip()):
        raise BadInputError(
            "A suspicion is accepted by a named person with a reason.",
            hint=(
                'Write --accept-suspicion "NAME: reason", such as "M. Mustermann: the '
                'field is asked in the form".'
            ),
        )
    return f"{name.strip()}: {reason.strip()}"


def answer_for(directory: Path, word: str | None) -> str | None:
    """Return the answer that lets an artefact be promoted in spite of suspicions found in its training.

    Args:
        directory: The verified artefact.
        word: What a person says now (`NAME: reason`); None: nothing.

    Returns:
        None where nothing is suspected or somebody has answered in training already.

    Raises:
        RefusedError: A leak is suspected, and nobody answers for it.
        ArtefactError: The evidence cannot be read.
        BadInputError: The word names nobody or gives no reason.
    """
    word = None if word is None else check_word(word)
    path = directory / METRICS
    if not path.exists():
        return None
    try:
        told = decode_json(path.read_bytes(), type=_Doubts)
    except DECODE_ERRORS as error:
        raise ArtefactError(f"{METRICS} holds no training evidence: {error}.") from error
    open_ones = unexplained(told.suspicions)
    if not open_ones or told.accepted_suspicion is not None:
        return None
    if word is None:
        raise RefusedError(
            "A leak is suspected, and nobody has answered for it. " + " ".join(map(say, open_ones)),
            hint="Leave such columns out and train again, or say who accepts it and why:"
            ' --accept-suspicion "NAME: reason".',
        )
    return word


class _Doubts(msgspec.Struct, frozen=True):
    suspicions: tuple[Suspicion, ...] = ()
    accepted_suspicion: str | None = None


def say(suspicion: Suspicion) -> str:
    """One suspicion as a sentence with its column."""
    named = f"`{suspicion.column}`: " if suspicion.column else ""
    answered = (
        " The contract says that it is known before (`known_before: true`)." if suspicion.known_before else ""
    )
    return f"{named}{suspicion.sentence}{answered}"
