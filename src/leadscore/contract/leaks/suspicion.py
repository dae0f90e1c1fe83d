"""One reason to believe that a column, or a model, knows what happened after the lead came in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

SuspicionKind = Literal["tells_outcome", "presence", "value", "later", "model_auc", "validation_gap"]


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """A column or model that tells too much to be known when a lead comes in.

    Attributes:
        column: The column; empty where the model as a whole is meant.
        kind: `tells_outcome`: the column alone ranks the leads; `presence`: whether it is filled in does;
            `value`: some of its values belong to one outcome; `later`: its times lie after the lead's;
            `model_auc`: the model is too good; `validation_gap`: it is far better on the hold-out than in
            cross-validation.
        strength: `leak`: it should be left out; `suspicion`: a person should say whether it is known before.
        figure: AUC (`tells_outcome`, `presence`, `model_auc`), share of converted leads among the rows in
            question (`value`), share of rows (`later`) or difference of two AUCs (`validation_gap`).
        sentence: What was seen, for people; a whole sentence without the column's name.
        known_before: A person has said in the contract that the value is known before: it is told, and
            passes.
    """

    column: str
    kind: SuspicionKind
    strength: Literal["leak", "suspicion"]
    figure: float
    sentence: str
    known_before: bool = False


def unexplained(suspicions: Iterable[Suspicion]) -> tuple[Suspicion, ...]:
    """Those that nobody has answered for with `known_before: true`."""
    return tuple(suspicion for suspicion in suspicions if not suspicion.known_before)
