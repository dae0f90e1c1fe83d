"""What the Overview's verdict rests on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from leadscore.console.alert_summary import alerts_verdict
from leadscore.console.numbers import as_sentence, count_text, milliseconds_text, share_text
from leadscore.console.page import PageRequest, PageVerdict, VerdictLevel
from leadscore.console.pages.drift import OLD_VERDICT, SEVERITY_LEVELS
from leadscore.console.pages.live import SLOW_SECONDS, in_milliseconds, leads_total, silence
from leadscore.console.pages.model import MISCALIBRATED
from leadscore.console.pages.overview_numbers import OverviewNumbers
from leadscore.drift.verdict import DriftVerdict
from leadscore.monitoring.measures import Measure
from leadscore.monitoring.queries.business import BusinessRow
from leadscore.monitoring.queries.traffic import LatencySummary

_RANKS: Final[dict[VerdictLevel, int]] = {"good": 0, "info": 1, "unknown": 2, "warning": 3, "critical": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """One thing that must hold for the score to be trusted.

    Attributes:
        name: What it is.
        level: How it stands.
        says: In a sentence.
        href: The page that explains it.
        essential: Whether trust is unknown as long as this is.
    """

    name: str
    level: VerdictLevel
    says: str
    href: str
    essential: bool = True


def trust_verdict(numbers: OverviewNumbers, checks: Sequence[HealthCheck]) -> PageVerdict:
    """Say in one sentence whether the score can be trusted, from the checks alone."""
    serving = f"version {numbers.serving} answers" if numbers.serving else "no version answers"
    worst = max(checks, key=lambda check: _RANKS[check.level])
    if worst.level in {"critical", "warning"}:
        word = "cannot be trusted as it is" if worst.level == "critical" else "needs a look"
        return PageVerdict(level=worst.level, sentence=as_sentence(f"The score {word}: {worst.says}"))
    unknown = [check for check in checks if check.level == "unknown"]
    essential = next((check for check in unknown if check.essential), None)
    if essential is not None:
        return PageVerdict(
            level="unknown",
            sentence=as_sentence(f"Whether the score can be trusted today is not known: {essential.says}"),
        )
    noted = [*unknown, *(check for check in checks if check.level == "info")]
    if noted:
        says = f"Nothing speaks against the score; {serving}. {noted[0].says}"
        return PageVerdict(level="info", sentence=as_sentence(says))
    return PageVerdict(
        level="good",
        sentence=f"The score can be trusted today: {serving}, callers are answered in time, leads are like "
        "those of training, and they convert as the scores say.",
    )


def health_checks(numbers: OverviewNumbers, request: PageRequest) -> tuple[HealthCheck, ...]:
    """Judge each thing that trust rests on."""
    stale = numbers.fresh.stale(request.now)
    counting = HealthCheck(
        name="Counting",
        level="unknown" if stale else "good",
        says=stale or "Every stored prediction and outcome is counted.",
        href="/live",
    )
    alerts = _alert_check(numbers, request)
    if stale:
        return (counting, alerts, _drift_check(numbers, request))
    return (
        counting,
        alerts,
        _traffic_check(numbers, request),
        _latency_check(numbers),
        _drift_check(numbers, request),
        _conversion_check(numbers),
        _promise_check(numbers),
    )


def _alert_check(numbers: OverviewNumbers, request: PageRequest) -> HealthCheck:
    """As the page of alerts says it."""
    said = alerts_verdict(numbers.alerts, request.now)
    return HealthCheck(name="Alerts", level=said.level, says=said.sentence, href="/alerts")


def _traffic_check(numbers: OverviewNumbers, request: PageRequest) -> HealthCheck:
    total = leads_total(numbers.traffic, numbers.fresh)
    if not total.value:
        says = "No lead was scored in this time. Check that the CRM calls the service."
        return HealthCheck(name="Traffic", level="warning", says=says, href="/live")
    silent = silence(numbers.traffic, numbers.newest, request)
    if silent:
        return HealthCheck(name="Traffic", level="unknown", says=silent, href="/live")
    shares = ", ".join(
        f"version {row.version} {share_text(row.counts.predictions / total.value)}"
        for row in sorted(numbers.versions, key=lambda row: -row.counts.predictions)
    )
    says = f"{count_text(total.value)} leads were scored ({shares})."
    return HealthCheck(name="Traffic", level="good", says=says, href="/live")


def _latency_check(numbers: OverviewNumbers) -> HealthCheck:
    p95 = slowest_p95(numbers.latency)
    if p95.value is None:
        return HealthCheck(name="Latency", level="unknown", says=p95.unknown, href="/live", essential=False)
    slow = p95.value > SLOW_SECONDS * 1e3
    says = f"The service took less than {milliseconds_text(p95.value)} for 95 of 100 calls."
    if slow:
        says = f"The service took longer than {milliseconds_text(p95.value)} for 5 of 100 calls."
    return HealthCheck(name="Latency", level="critical" if slow else "good", says=says, href="/live")


def worst_drift(numbers: OverviewNumbers) -> DriftVerdict | None:
    """The worst verdict that asks to act; None if there is none."""
    judged = [found.verdict for found in numbers.verdicts if found.verdict is not None]
    drifted = [verdict for verdict in judged if verdict.drifted]
    return max(drifted, key=lambda v: list(SEVERITY_LEVELS).index(v.severity), default=None)


def _drift_check(numbers: OverviewNumbers, request: PageRequest) -> HealthCheck:
    name, href = "Leads as in training", "/drift"
    worst = worst_drift(numbers)
    if worst is not None:
        reason = worst.reasons[0] if worst.reasons else "a detector says so."
        level: VerdictLevel = "critical" if worst.severity == "critical" else "warning"
        return HealthCheck(
            name=name, level=level, says=as_sentence(f"Leads have changed: {reason}"), href=href
        )
    judged = [found.verdict for found in numbers.verdicts if found.verdict is not None]
    recent = [v for v in judged if request.now - v.window_end <= OLD_VERDICT and not v.unknown]
    if not recent:
        says = (
            "No detector has judged today's leads. Run `leadscore drift check --window 1w`, or schedule it."
        )
        return HealthCheck(name=name, level="unknown", says=says, href=href)
    until = max(verdict.window_end for verdict in recent)
    says = f"Detectors saw no change that calls for action, until {until:%Y-%m-%d %H:%M} UTC."
    return HealthCheck(name=name, level="good", says=says, href=href)


def _conversion_check(numbers: OverviewNumbers) -> HealthCheck:
    name, href, row = "Conversion", "/business", numbers.business
    if row is None or row.conversion.value is None:
        why = "No lead was scored in 90 days." if row is None else row.conversion.unknown
        says = f"How leads convert is not known yet. {why}"
        return HealthCheck(name=name, level="unknown", says=says, href=href, essential=False)
    now, then = share_text(row.conversion.value), row.before.value
    if then is None:
        says = f"{now} of leads became customers; there is nothing before to compare with."
        return HealthCheck(name=name, level="good", says=says, href=href, essential=False)
    if row.changed == "down":
        says = f"Conversion has fallen from {share_text(then)} to {now}, more than by chance."
        return HealthCheck(name=name, level="warning", says=says, href=href)
    says = f"{now} of leads became customers, {share_text(then)} in the 90 days before."
    return HealthCheck(name=name, level="good", says=says, href=href)


def promises_hold(row: BusinessRow) -> bool | None:
    """Whether as many leads became customers as their scores promised; None: that is not known."""
    rate, said = row.conversion, row.expected.value
    if said is None or rate.value is None or rate.low is None or rate.high is None:
        return None
    return rate.low <= said <= rate.high or abs(rate.value / said - 1) < MISCALIBRATED


def _promise_check(numbers: OverviewNumbers) -> HealthCheck:
    name, href, row = "Scores hold", "/model", numbers.business
    holds = None if row is None else promises_hold(row)
    if row is None or holds is None:
        says = "Whether probabilities hold is not known before outcomes are."
        return HealthCheck(name=name, level="unknown", says=says, href=href, essential=False)
    said, rate = share_text(row.expected.value or 0.0), share_text(row.conversion.value or 0.0)
    came = f"scores promised {said}, and {rate} became customers"
    if holds:
        return HealthCheck(name=name, level="good", says=f"The {came}.", href=href)
    return HealthCheck(name=name, level="warning", says=f"Probabilities are off: {came}.", href=href)


def slowest_p95(latency: Sequence[LatencySummary]) -> Measure:
    """The P95 of the slowest version, in milliseconds."""
    known = [s.percentiles[1] for s in latency if s.percentiles[1].value is not None]
    if not known:
        return Measure.missing("No request was answered in this time, so latency is not known.")
    return in_milliseconds(max(known, key=lambda measure: measure.value or 0.0))
