"""What becomes of a message after an attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.outbox.attempts import (
    GIVE_UP_SECONDS,
    LONGEST_SECONDS,
    SendResult,
    next_attempt,
    parse_retry_after,
    result_of_status,
)

NOW = 1_800_000_000
US = 1_000_000
END = (NOW + round(GIVE_UP_SECONDS)) * US


def decide(
    result: SendResult, attempt: int = 1, now: int = NOW * US, chance: float = 0.5
) -> tuple[str, float | None]:
    then = next_attempt(result, attempt, now, give_up_at=END, chance=chance)
    return then.state, None if then.at is None else (then.at - now) / US


def test_what_was_accepted_is_delivered_and_what_never_will_be_is_dead() -> None:
    assert decide(SendResult("accepted", "")) == ("delivered", None)
    assert decide(SendResult("refused", "")) == ("dead", None)


def test_back_off_doubles_up_to_its_bound() -> None:
    waits = [decide(SendResult("failed", ""), n, chance=1.0)[1] for n in (1, 2, 3, 8, 9, 1000)]
    assert waits == [5, 10, 20, 640, LONGEST_SECONDS, LONGEST_SECONDS]
    assert decide(SendResult("failed", ""), 1, chance=0.0) == ("waiting", 2.5)


def test_retry_after_is_obeyed_by_the_whole_channel() -> None:
    then = next_attempt(SendResult("failed", "", 429, 300.0), 1, NOW * US, give_up_at=END, chance=0.5)
    assert then.at == then.channel_until == (NOW + 300) * US


def test_the_last_attempt_is_at_the_end_and_none_comes_after_it() -> None:
    late = END - 10 * US
    assert next_attempt(SendResult("failed", ""), 20, late, give_up_at=END, chance=0.5).at == END
    assert next_attempt(SendResult("failed", ""), 21, END, give_up_at=END, chance=0.5).state == "dead"


@given(
    outcome=st.sampled_from(["failed", "uncertain"]),
    retry_after=st.none() | st.floats(-10, 1e9),
    attempt=st.integers(1, 10_000),
    age=st.integers(0, 2 * 86_400),
    chance=st.floats(0, 1),
)
def test_no_attempt_is_early_and_every_message_has_an_end(
    outcome: str, retry_after: float | None, attempt: int, age: int, chance: float
) -> None:
    now = (NOW + age) * US
    result = SendResult(outcome, "", 429, retry_after)  # type: ignore[arg-type]
    then = next_attempt(result, attempt, now, give_up_at=END, chance=chance)
    if then.state == "dead":
        assert age >= GIVE_UP_SECONDS or (retry_after or 0) > GIVE_UP_SECONDS - age
    else:
        assert then.at is not None
        assert now < then.at <= END
        assert then.at >= min(END, now + (retry_after or 0) * US - 1)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "accepted"), (202, "accepted"), (204, "accepted"),
        (400, "refused"), (413, "refused"), (415, "refused"), (422, "refused"),
        (301, "failed"), (302, "failed"), (308, "failed"), (405, "failed"), (407, "failed"), (410, "failed"),
        (451, "failed"), (100, "failed"),
        (401, "failed"), (403, "failed"), (404, "failed"), (429, "failed"), (500, "failed"), (503, "failed"),
        (502, "uncertain"), (504, "uncertain"),
    ],
)  # fmt: skip
def test_a_status_says_whether_to_try_again(status: int, outcome: str) -> None:
    assert result_of_status(status, None, NOW).outcome == outcome


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0), (" 7 ", 7.0), ("1.5", 1.5), (None, None), ("", None), ("soon", None), ("-3", None),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0), ("Fri, 15 Jan 1999 08:01:00 GMT", 0.0), ("٣", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds
