"""What a rule would have said in the past: the same evaluation, moment by moment, over kept counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from leadscore.alerts.evaluate import Episode, SeriesLabels, evaluate_rule, group_of
from leadscore.alerts.measures import moments
from leadscore.alerts.rules import AlertRule
from leadscore.errors import BadInputError
from leadscore.monitoring.measures import Measure

# How often a measure is looked at, and which roll-up answers for it.
_STEPS: Final = {
    "rollups.conversion_change": ("rollups.conversion_change", timedelta(days=1)),
    "rollups.feature_psi": ("rollups.feature_psi", timedelta(hours=6)),
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
        BadInputError: No roll-up keeps what this rule looks at.
    """
    found = _STEPS.get(rule.measure)
    if found is None:
        raise BadInputError(
            f"{rule.alert} looks at what no roll-up keeps.",
            hint="Can be looked back at: rules with the measures " + ", ".join(sorted(_STEPS)) + ".",
        )
    measure, step = found
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
