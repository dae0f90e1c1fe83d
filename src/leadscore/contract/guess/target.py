"""Guess which values of the target mean converted, not converted, and open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from leadscore.contract.text import is_value, nearly, read_number, read_truth
from leadscore.errors import TableError

Value = str | int | bool
ValueCounts = Sequence[tuple[object, int]]
"""The target's values as the table holds them, with their rows, most frequent first, without missing ones."""

_WON = frozenset(
    [
        "1",
        "1.0",
        "yes",
        "y",
        "true",
        "t",
        "won",
        "win",
        "sale",
        "converted",
        "customer",
        "success",
        "successful",
        "sold",
        "signed",
        "closedwon",
        "bought",
        "purchased",
        "accepted",
        "ja",
        "wahr",
        "oui",
        "vrai",
        "verdadero",
        "si",
        "sí",
        "gewonnen",
        "gekauft",
        "abgeschlossen",
        "kunde",
        "gagné",
    ]
)
_LOST = frozenset(
    [
        "0",
        "0.0",
        "no",
        "n",
        "false",
        "f",
        "lost",
        "loss",
        "won't",
        "won’t",
        "closedlost",
        "rejected",
        "refused",
        "declined",
        "disqualified",
        "unqualified",
        "unconverted",
        "unsuccessful",
        "failed",
        "failure",
        "churned",
        "cancelled",
        "canceled",
        "dead",
        "abandoned",
        "junk",
        "spam",
        "nein",
        "falsch",
        "verloren",
        "abgelehnt",
        "storniert",
        "abgesagt",
        "non",
        "faux",
        "falso",
        "perdu",
    ]
)
_OPEN = frozenset(
    [
        "open",
        "new",
        "pending",
        "engaging",
        "engaged",
        "prospecting",
        "prospect",
        "progress",
        "working",
        "negotiation",
        "negotiating",
        "negotiations",
        "nurturing",
        "nurture",
        "contacted",
        "qualification",
        "qualifying",
        "qualified",
        "discovery",
        "demo",
        "meeting",
        "proposal",
        "proposed",
        "quote",
        "quoted",
        "offer",
        "offered",
        "review",
        "waiting",
        "ongoing",
        "active",
        "pipeline",
        "assigned",
        "contacting",
        "trial",
        "undecided",
        "offen",
        "neu",
        "verhandlung",
        "bearbeitung",
        "angebot",
        "wartend",
    ]
)
_NOT = frozenset(["not", "no", "non", "never", "nicht", "kein", "keine", "un"])

Meaning = Literal["won", "lost", "open", "unknown"]


@dataclass(frozen=True, slots=True)
class ValueSpellings:
    """A value in all its spellings, most frequent first, with the rows of each."""

    spellings: tuple[tuple[object, int], ...]

    def led_by(self, spelling: str) -> ValueSpellings:
        """The same, with that spelling first if it is one of them."""
        return ValueSpellings(
            tuple(sorted(self.spellings, key=lambda pair: str(pair[0]).strip() != spelling.strip()))
        )

    @property
    def rows(self) -> int:
        """Rows of all spellings."""
        return sum(count for _, count in self.spellings)

    @property
    def value(self) -> Value:
        """The value as the contract holds it, in its most frequent spelling."""
        return as_value(self.spellings[0][0])

    @property
    def meaning(self) -> Meaning:
        """What the word says of a lead."""
        return meaning_of(self.spellings[0][0])

    @property
    def shown(self) -> str:
        """The value with its rows, for people."""
        return f"{self.value!r} ({self.rows} rows)"


@dataclass(frozen=True, slots=True)
class TargetGuess:
    """What the target's values mean.

    Attributes:
        positive: Converted.
        negatives: Not converted.
        open: Not known yet: left out of training until they are.
        told: Whether the positive value was given, not guessed.
        sure: Whether words say that it is the positive one.
    """

    positive: ValueSpellings
    negatives: tuple[ValueSpellings, ...]
    open: tuple[ValueSpellings, ...]
    told: bool
    sure: bool


def as_value(value: object) -> Value:
    """A target value as the contract can hold it: 1.0 becomes 1, the text `true` true."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    text = str(value)
    number = read_number(text)
    if number is not None and number.is_integer() and re.fullmatch(r"\s*[-+]?[0-9]+(\.0*)?\s*", text):
        return int(number)
    if text.strip().lower() in {"true", "false"}:
        return read_truth(text) is True
    return text.strip()


def meaning_of(value: object) -> Meaning:
    """What the words of a value say: `Closed Won`, `not converted`, `In progress`."""
    words = re.findall(r"[^\W_]+(?:\.0|['’][^\W_]+)?", nearly(str(value)))
    if len(words) > 1:
        # 1, 0 and y mean something alone; in "Stage 1", "Tier 0" and "Plan Y" they do not.
        words = [word for word in words if len(word) > 1 and not word[0].isdigit()]
    if any(word in _LOST for word in words):
        # "no" alone means lost; in "no decision yet" the other words decide.
        rest = [word for word in words if word not in _NOT]
        if any(word in _LOST for word in rest) or not rest:
            return "lost"
    if any(word in _WON for word in words):
        return "lost" if any(word in _NOT for word in words) else "won"
    return "open" if any(word in _OPEN for word in words) else "unknown"


def spellings_of(seen: ValueCounts) -> list[ValueSpellings]:
    """The values, those that differ in case, spaces and Unicode form only taken together.

    Most frequent first.
    """
    found: dict[object, list[tuple[object, int]]] = {}
    for value, count in seen:
        plain = as_value(value)
        key = nearly(plain) if isinstance(plain, str) else (type(plain), plain)
        found.setdefault(key, []).append((value, count))
    return sorted(
        (ValueSpellings(tuple(spellings)) for spellings in found.values()), key=lambda group: -group.rows
    )


def guess_target(name: str, seen: ValueCounts, wanted: Value | None) -> TargetGuess:
    """Decide what the target's values mean.

    Values beside the positive one mean "not converted" if one of them says so or there is no other way to
    read them; where one does (`Lost`), those that do not (`Engaging`) are open.

    Args:
        name: The column.
        seen: Its values.
        wanted: The positive value, if the caller knows it.

    Raises:
        TableError: Fewer than two values, the wanted one is not there, or nothing tells which one it is.
    """
    groups = spellings_of(seen)
    if len(groups) < 2:
        raise TableError(
            f"The target column {name!r} has {len(groups)} different value(s): there is nothing to learn.",
            hint="It must hold outcomes of both kinds.",
        )
    counts = len(groups) > 2 and all(isinstance(group.value, int) for group in groups)
    if counts and wanted is None:
        raise TableError(
            f"The target column {name!r} has {len(groups)} different numbers: {_shown(groups)}.",
            hint="It seems to count something. Make a column of 0 and 1 that says whether the lead "
            "converted (any count above 0?) and take that as the target; --positive would take one of "
            "the numbers for converted and all others for not.",
        )
    positive, sure = _positive(name, groups, wanted)
    others = [group for group in groups if group is not positive]
    lost = [group for group in others if group.meaning == "lost"]
    if len(others) > 1 and lost and not counts:
        opened = [group for group in others if group.meaning != "lost"]
    else:
        lost, opened = others, []
        if wanted is None and all(group.meaning == "open" for group in others):
            raise TableError(
                f"The target column {name!r} holds {positive.shown} and, beside it, only values of deals "
                f"that are still open ({_shown(others)}): no value means lost.",
                hint="Add the leads that were lost; or, if these did not convert, say so with --positive.",
            )
    if isinstance(wanted, str):
        positive = positive.led_by(wanted)
    return TargetGuess(positive, tuple(lost), tuple(opened), told=wanted is not None, sure=sure)


def _positive(
    name: str, groups: Sequence[ValueSpellings], wanted: Value | None
) -> tuple[ValueSpellings, bool]:
    if wanted is not None:
        match = [group for group in groups if _is_wanted(group, wanted)]
        if not match:
            raise TableError(
                f"The target column {name!r} never holds {wanted!r}.", hint=f"It holds {_shown(groups)}."
            )
        return match[0], True
    won = [group for group in groups if group.meaning == "won"]
    lost = [group for group in groups if group.meaning == "lost"]
    if len(won) == 1 and (len(groups) == 2 or lost):
        return won[0], True
    if len(groups) == 2:
        if len(lost) == 1:
            return next(group for group in groups if group is not lost[0]), True
        return groups[-1], False  # the rarer one
    raise TableError(
        f"The target column {name!r} has {len(groups)} different values: {_shown(groups)}.",
        hint="Say which one means converted with --positive.",
    )


def _is_wanted(group: ValueSpellings, wanted: Value) -> bool:
    if isinstance(wanted, str):
        return any(
            nearly(str(value)) == nearly(wanted) for value, _ in group.spellings
        ) or group.value == as_value(wanted)
    return any(is_value(str(value), wanted) for value, _ in group.spellings)


def _shown(groups: Sequence[ValueSpellings]) -> str:
    return ", ".join(group.shown for group in groups[:8]) + (", …" if len(groups) > 8 else "")
