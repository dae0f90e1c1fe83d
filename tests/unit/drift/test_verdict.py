from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.drift.verdict import MESSAGE_BYTES, DriftVerdict, FeatureVerdict, worst_severity
from leadscore.errors import BadInputError

START = datetime(2026, 3, 1, tzinfo=UTC)
# Control characters take six bytes each in JSON, the rarest characters four in UTF-8.
NASTY = st.text(st.sampled_from('a\u0001\u001f"\\\u20ac\U0001f600'), max_size=600)


def verdict(**changes: object) -> DriftVerdict:
    plain = DriftVerdict(
        detector="univariate",
        model_name="leads",
        model_version="3",
        window_start=START,
        window_end=START + timedelta(days=1),
        rows=1_000,
        severity="critical",
        drifted=True,
        confidence=0.99,
        triage="market_moved",
    )
    return msgspec.structs.replace(plain, **changes)


@settings(max_examples=60)
@given(names=st.lists(NASTY, max_size=40), reasons=st.lists(NASTY, max_size=40), model=NASTY)
def test_a_termination_message_is_always_whole_json_under_the_limit(names, reasons, model):
    worst = tuple(
        FeatureVerdict(feature=n, statistic="psi", value=1 / 3, effect=1 / 3, note=n) for n in names
    )
    full = verdict(model_name=model, detector=model, model_version=model, worst=worst, reasons=tuple(reasons))

    message = full.to_termination_message()

    assert len(message) < MESSAGE_BYTES
    read = DriftVerdict.from_json(message)
    assert (read.severity, read.drifted, read.triage) == ("critical", True, "market_moved")
    assert bool(read.worst) == bool(names)


def test_a_short_verdict_is_not_shortened():
    full = verdict(
        reasons=("The budget fell.",), worst=(FeatureVerdict(feature="budget", statistic="psi", value=0.3),)
    )

    assert DriftVerdict.from_json(full.to_termination_message()) == full


@pytest.mark.parametrize("text", [b"", b"{}", b'{"severity": "none"}', b"\xff", "calm"])
def test_what_is_not_a_verdict_is_refused_rather_than_taken_for_no_drift(text):
    with pytest.raises(BadInputError):
        DriftVerdict.from_json(text)


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        verdict(window_start=datetime(2026, 3, 1))  # noqa: DTZ001


def test_the_worst_severity_is_the_highest():
    assert worst_severity(()) == "none"
    assert worst_severity(("moderate", "critical", "none")) == "critical"
