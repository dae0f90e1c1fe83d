"""From numbers to episodes: pending, firing, held, over, and unknown, which is never over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.alerts.evaluate import Episode, SeriesLabels, evaluate_rule, rule_status
from leadscore.alerts.rules import AlertRule
from leadscore.monitoring.measures import Measure

MINUTE = 60_000_000
NOW = 1_800_000_000_000_000
LATENCY = AlertRule(
    alert="Latency", severity="critical", summary="slow", people="wait",
    measure="service.p95_seconds", above=0.5, duration="5m", keep="5m",
)  # fmt: skip
DRIFT = AlertRule(
    alert="Drift", severity="warning", summary="{{ $labels.feature }} moved", people="",
    measure="rollups.feature_psi", above=0.25, group_by=("model_version",),
)  # fmt: skip
DROP = AlertRule(
    alert="Drop", severity="warning", summary="down", people="",
    measure="rollups.conversion_change", below=-0.1, certain=True,
)  # fmt: skip


def known(value: float, n: int = 100, **more: float) -> Measure:
    return Measure(value=value, n=n, **more)


def unknown() -> Measure:
    return Measure.missing("no requests")


def through(rule: AlertRule, *measures: Measure | None, step: int = MINUTE) -> list[Episode | None]:
    """The episode after each look."""
    found: list[Episode | None] = []
    previous: Episode | None = None
    for number, measure in enumerate(measures):
        series: dict[SeriesLabels, Measure] = {} if measure is None else {(): measure}
        previous = evaluate_rule(rule, {}, series, previous, NOW + number * step)
        found.append(previous)
        if previous is not None and previous.ended_at is not None:
            previous = None
    return found


def states(rule: AlertRule, *measures: Measure | None) -> list[str]:
    return ["" if e is None else e.state for e in through(rule, *measures)]


def test_it_fires_after_its_time_and_is_over_after_having_been_right_for_a_while() -> None:
    bad, good = known(0.6), known(0.1)
    said = states(LATENCY, *[bad] * 7, *[good] * 7)
    assert said == [*["pending"] * 5, *["firing"] * 2, *["firing"] * 5, "resolved", ""]


def test_what_was_wrong_for_less_than_its_time_was_nothing() -> None:
    assert states(LATENCY, known(0.6), known(0.6), known(0.1)) == ["pending", "pending", ""]


def test_flapping_is_one_episode() -> None:
    flapping = [known(0.6)] * 6 + [known(0.1), known(0.6), known(0.1), known(0.6)]
    ids = {e.episode_id for e in through(LATENCY, *flapping) if e is not None}
    assert len(ids) == 1
    assert states(LATENCY, *flapping)[-4:] == ["firing"] * 4


def test_no_data_is_unknown_and_never_over() -> None:
    for gone in (unknown(), None):
        said = through(LATENCY, *[known(0.6)] * 6, *[gone] * 30)
        assert said[-1] is not None
        assert (said[-1].state, said[-1].ended_at) == ("unknown", None)
        assert said[-1].unknown
    assert states(LATENCY, *[known(0.6)] * 6, unknown(), known(0.6))[-1] == "firing"
    assert states(LATENCY, *[known(0.6)] * 6, unknown(), known(0.1))[-1] == "firing"  # kept for five minutes


def test_an_alert_that_nobody_measures_for_a_day_is_closed_as_unknown() -> None:
    said = through(LATENCY, *[known(0.6)] * 30, *[None] * 60, step=30 * MINUTE)
    closed = next(e for e in said if e is not None and e.ended_at is not None)
    assert closed.state == "unknown"


def test_no_data_at_the_start_is_no_alert_and_not_ok() -> None:
    assert states(LATENCY, unknown(), None) == ["", ""]
    assert rule_status(LATENCY, {(): unknown()}, ()).state == "unknown"
    assert rule_status(LATENCY, {}, ()).state == "unknown"
    assert rule_status(LATENCY, {(): known(0.1)}, ()).state == "ok"


def test_a_pending_alert_does_not_fire_on_silence() -> None:
    assert states(LATENCY, known(0.6), *[unknown()] * 20)[-1] == "pending"


def test_twenty_features_at_once_are_one_episode_with_the_worst_first() -> None:
    series = {(("feature", f"f{n}"),): known(0.3 + n / 100) for n in range(20)}
    episode = evaluate_rule(DRIFT, {"model_version": "7"}, series, None, NOW)
    assert episode is not None
    assert (episode.state, len(episode.members)) == ("firing", 20)
    assert episode.members[0].labels == {"feature": "f19"}


def test_a_feature_that_is_not_measured_any_more_keeps_its_alert_open() -> None:
    both = {(("feature", "a"),): known(0.9), (("feature", "b"),): known(0.1)}
    first = evaluate_rule(DRIFT, {}, both, None, NOW)
    then = evaluate_rule(DRIFT, {}, {(("feature", "b"),): known(0.1)}, first, NOW + MINUTE)
    assert then is not None
    assert then.state == "unknown"


@pytest.mark.parametrize(
    ("measure", "fires"),
    [
        (known(-0.2, low=-0.3, high=-0.05), True),
        (known(-0.2, low=-0.5, high=0.1), False),
        (known(-0.05, low=-0.08, high=-0.02), False),
        (known(-0.2), False),
    ],
)
def test_a_drop_counts_only_where_its_interval_says_so(measure: Measure, fires: bool) -> None:
    assert (evaluate_rule(DROP, {}, {(): measure}, None, NOW) is not None) == fires


def test_the_monitor_finds_nothing_while_alertmanager_still_does() -> None:
    import msgspec

    first = evaluate_rule(LATENCY, {}, {(): known(0.6)}, None, NOW)
    assert first is not None
    theirs = msgspec.structs.replace(first, state="firing", external={"abc": {"alertname": "Latency"}})
    then = evaluate_rule(LATENCY, {}, {(): known(0.1)}, theirs, NOW + 60 * MINUTE)
    assert then is not None
    assert (then.state, then.own) == ("firing", False)


@given(
    looks=st.lists(st.sampled_from(["bad", "good", "unknown", "nothing"]), max_size=60),
    step=st.sampled_from([MINUTE // 2, MINUTE, 10 * MINUTE]),
)
def test_an_episode_ends_only_after_a_good_look_or_a_day_of_silence(looks: list[str], step: int) -> None:
    table = {"bad": known(0.6), "good": known(0.1), "unknown": unknown(), "nothing": None}
    previous: Episode | None = None
    for number, look in enumerate(looks):
        measure = table[look]
        now = NOW + number * step
        episode = evaluate_rule(LATENCY, {}, {} if measure is None else {(): measure}, previous, now)
        if previous is not None and episode is not None:
            assert episode.episode_id == previous.episode_id
            assert episode.started_at == previous.started_at
        if episode is not None and episode.state == "resolved":
            assert look == "good"
            assert episode.fired_at is not None
        if episode is None and previous is not None:
            assert (previous.state, look) == ("pending", "good")
        if look == "bad":
            assert episode is not None
            assert episode.state in {"pending", "firing"}
        previous = None if episode is None or episode.ended_at is not None else episode
