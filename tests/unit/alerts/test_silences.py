"""Patterns of silences: text that is compared, never a regular expression of a person's."""

from __future__ import annotations

import pytest

from leadscore.alerts.evaluate import Episode
from leadscore.alerts.silences import Silence
from leadscore.identity.caller import Caller


def silence(*matchers: str) -> Silence:
    return Silence(
        silence_id="s", matchers=matchers, starts_at=0, ends_at=10, by=Caller("key", "ada"), reason="why"
    )


def covers(matcher: str, model: str) -> bool:
    episode = Episode(
        episode_id="e", fingerprint="f", rule="Slow", severity="critical", labels={"model": model},
        state="firing", started_at=0, seen_at=0, summary="",
    )  # fmt: skip
    return silence(matcher).covers(episode, 5)


@pytest.mark.parametrize(
    ("matcher", "yes", "no"),
    [
        ("model=~leads|trials", "trials", "trials-2"),
        ("model=~trials.*|leads", "trials-2", "my-trials"),
        ("model=~.*trials", "my-trials", "trials-2"),
        ("model=~.*trial.*", "my-trials-2", "leads"),
        ("model=~v1.2", "v1.2", "v1x2"),
        ("model!=leads", "trials", "leads"),
        ("alert=~Sl.*", "any", ""),
    ],
)
def test_a_pattern_is_names_that_may_begin_or_end_with_anything(matcher: str, yes: str, no: str) -> None:
    assert not silence(matcher).problem
    assert covers(matcher, yes)
    assert not no or not covers(matcher, no)


@pytest.mark.parametrize("pattern", [".*.*.*.*x", "a.*b", "(a|b)+", "a{1,9}", "a|", r"\d", "[ab]", "a" * 300])
def test_what_an_engine_could_take_long_for_is_no_pattern_and_matches_nothing(pattern: str) -> None:
    matcher = f"model=~{pattern}"
    assert silence(matcher).problem
    assert "matches nothing" in silence(matcher).words
    assert not covers(matcher, "a" * 100_000)


def test_one_matcher_that_cannot_be_read_makes_the_whole_silence_match_nothing() -> None:
    # Without it, the rest would hide more than somebody meant.
    assert silence("severity=critical", "model=~(a").problem
