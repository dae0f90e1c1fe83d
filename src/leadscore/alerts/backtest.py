"""What a rule would have said in the past: the same evaluation, moment by moment, over kept counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from leadscore.alerts.evaluate import Episode, SeriesLabels, evaluate_rule, group_of
from leadscore.alerts.measures import moments
from leadscore.alerts.rules import FEATURE_PSI, AlertRule
from leadscore.errors import BadInputError
from leadscore.monitoring.measures import Measure
from leadscore.monitoring.rollups.tables import rollup_hours

# Some ten minutes of work.
MOST_LOOKS: Final = 20_000
# How often a measure is looked at, and which roll-up answers for it.
_STEPS: Final = {
    "rollups.conversion_change": ("rollups.conversion_change", timedelta(days=1)),
    FEATURE_PSI: (FEATURE_PSI, timedelta(hours=6)),
    "rollups.p95_seconds": ("rollups.p95_seconds", timedelta(hours=1)),
    "service.p95_seconds": ("rollups.p95_seconds", timedelta(hours=1)),
}


@dataclass(frozen=True, slots=True)
class RuleBacktest:
    """What a rule would have done.

    Attributes:
        rule: Its name.
        measure: Whose values were looked at.
        looks: Moments.
        measured: Moments at which something was known.
        episodes: How often it would have fired, in order of time.
    """

    rule: str
    measure: str
    looks: int
    measured: int
    episodes: tuple[Episode, ...]


def can_look_back(rule: AlertRule) -> bool:
    """Whether roll-ups keep what a rule looks at."""
    return rule.measure in _STEPS


def backtest_rule(
    rule: AlertRule, read: Callable[[AlertRule, int], Mapping[SeriesLabels, Measure]], start: int, end: int
) -> RuleBacktest:
    """Evaluate a rule over the past.

    A rule's `for` of minutes cannot be seen in steps of hours: a condition that holds at one look counts as
    held. Outcomes that came later are known now, and count as if they had been known then.

    Args:
        rule: With thresholds as they are now.
        read: Numbers of a rule at a moment (microseconds since the epoch).
        start: First moment.
        end: Last moment.

    Raises:
        BadInputError: No roll-up keeps what this rule looks at, or it is too long a time.
    """
    found = _STEPS.get(rule.measure)
    if found is None:
        raise BadInputError(
            f"{rule.alert} looks at what no roll-up keeps.",
            hint="Can be looked back at: rules with the measures " + ", ".join(sorted(_STEPS)) + ".",
        )
    measure, step = found
    asked = (end - start) // (step // timedelta(microseconds=1)) + 1
    if asked > MOST_LOOKS:
        raise BadInputError(
            f"{rule.alert} would have been looked at {asked:,} times in this time.",
            hint=f"At most {MOST_LOOKS:,} looks are gone through: choose a shorter time with --last.",
        )
    state: dict[SeriesLabels, Episode] = {}
    over: list[Episode] = []
    looks = measured = 0
    for now in moments(start, end, step):
        looks += 1
        groups: dict[SeriesLabels, dict[SeriesLabels, Measure]] = {key: {} for key in state}
        for labels, each in read(rule, now).items():
            key = tuple(sorted(group_of(rule, dict(labels)).items()))
            groups.setdefault(key, {})[labels] = each
            measured += each.value is not None
        for key, measures in groups.items():
            episode = evaluate_rule(rule, dict(key), measures, state.get(key), now)
            if episode is None:
                previous = state.pop(key, None)
                # Held at one look and not at the next: in steps of hours, that is longer than its `for`.
                if previous is not None and step >= timedelta(microseconds=rule.for_us):
                    over.append(previous)
            elif episode.ended_at is not None:
                state.pop(key, None)
                over.append(episode)
            else:
                state[key] = episode
    fired = [*over, *(episode for episode in state.values() if episode.state != "pending")]
    return RuleBacktest(
        rule.alert, measure, looks, measured, tuple(sorted(fired, key=lambda e: e.started_at))
    )


def first_counted(connection: sa.Connection) -> int | None:
    """The first hour that was counted, microseconds since the epoch: before it no rule can have fired."""
    return connection.execute(sa.select(sa.func.min(rollup_hours.c.hour))).scalar_one()
