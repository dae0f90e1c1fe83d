"""Alerts: what fires, who looks after it, what is silenced, and whether the rules were evaluated at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dash import html
from dash.development.base_component import Component

from leadscore.alerts.channels import ChannelSecrets, senders
from leadscore.alerts.episodes import Audience, acknowledge, read_recent
from leadscore.alerts.evaluate import Episode, RuleStatus
from leadscore.alerts.messages import AlertLinks, bound_text, number_lines
from leadscore.alerts.rules import AlertRule, AlertRules, rules_or_defaults, rules_path
from leadscore.alerts.silences import LONGEST_REASON_TEXT, Silence, add_silence, end_silence, read_silences
from leadscore.console.alert_summary import ALERT_LEVELS, AlertsNow, alerts_verdict, read_alerts_now
from leadscore.console.blocks import (
    PageTable,
    action_form,
    badge,
    empty_block,
    error_block,
    facts_block,
    section_block,
    table_block,
)
from leadscore.console.fields import FormField
from leadscore.console.numbers import age_text, moment_text
from leadscore.console.page import (
    ActionRequest,
    ActionResult,
    ConsoleAction,
    ConsolePage,
    ConsolePerson,
    NumberTile,
    PageContent,
    PageRequest,
    VerdictLevel,
)
from leadscore.durations import parse_duration
from leadscore.identity.caller import Caller
from leadscore.monitoring.measures import Measure
from leadscore.outbox.queue import ChannelBacklog, backlogs

# Of rules, those first that somebody should look at.
_STATES: Final[dict[str, tuple[VerdictLevel, str]]] = {
    "firing": ("critical", "fires"),
    "unknown": ("unknown", "not known"),
    "pending": ("info", "begins"),
    "ok": ("good", "within bounds"),
    "elsewhere": ("info", "elsewhere"),
}
# Of a rule with twenty numbers, the worst ones.
_NUMBERS: Final = 3
_LENGTHS: Final = (
    ("30m", "30 minutes"),
    ("2h", "2 hours"),
    ("8h", "8 hours"),
    ("1d", "a day"),
    ("7d", "a week"),
)


@dataclass(frozen=True, slots=True)
class _Alerts:
    """What the store and the rules file say about alerts."""

    now: AlertsNow
    recent: tuple[Episode, ...]
    silences: tuple[Silence, ...]
    channels: tuple[ChannelBacklog, ...]
    rules: AlertRules
    broken: str


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    now = _microseconds(request.now)
    with request.store.reading() as connection:
        found = _Alerts(
            read_alerts_now(connection),
            read_recent(connection, _microseconds(request.since), limit=300),
            read_silences(connection, now),
            backlogs(connection),
            *rules_or_defaults(rules_path()),
        )
    body: list[Component] = []
    if found.broken:
        hint = "What is shown here is said by the default rules; the monitor keeps those it had."
        body.append(error_block(found.broken, hint=hint))
    body += [_one(episode, found, request) for episode in found.now.told]
    stale = found.now.is_stale(request.now)
    if not found.now.told:
        none = "No alert was open when the rules were evaluated last." if stale else "No alert is open."
        body.append(section_block("Open alerts", [empty_block(none)]))
    body += [_rules(found, stale=stale), _silences(found, request), _history(found), _deliveries(found)]
    return PageContent(
        verdict=alerts_verdict(found.now, request.now),
        tiles=_tiles(found, request.now),
        body=body,
        as_of=found.now.evaluated_at,
    )


def _tiles(found: _Alerts, now: datetime) -> list[NumberTile]:
    at, stale = found.now.evaluated_at, found.now.is_stale(now)
    rules = len(found.now.statuses)

    def count(label: str, number: int, level: VerdictLevel) -> NumberTile:
        measure = (
            Measure.missing("The rules were not evaluated lately.", as_of=at)
            if stale
            else Measure(value=number, n=rules, as_of=at)
        )
        return NumberTile(label=label, measure=measure, level=level if number and not stale else None)

    firing = found.now.firing
    return [
        count("Critical", sum(e.severity == "critical" for e in firing), "critical"),
        count("Warnings", sum(e.severity == "warning" for e in firing), "warning"),
        count("Rules without a number", len(found.now.unmeasured), "info"),
        NumberTile(
            label="Silences in force",
            measure=Measure(value=len(found.silences), n=len(found.silences), as_of=now),
        ),
    ]


def _one(episode: Episode, found: _Alerts, request: PageRequest) -> Component:
    """An open alert: what is wrong, since when, what to do, who looks after it."""
    rule = found.rules.named(episode.rule)
    links = AlertLinks.from_environment()
    now = _microseconds(request.now)
    silenced = next((s for s in found.silences if s.covers(episode, now)), None)
    since = _moment(episode.fired_at or episode.started_at)
    facts: list[tuple[str, object]] = [
        ("since", f"{moment_text(since)} ({age_text(since, request.now)})"),
        *((name, value) for name, value in sorted(episode.labels.items())),
        *((("measured", text)) for text in number_lines(episode.members, rule)),
    ]
    if episode.unknown:
        facts.append(("not known now", episode.unknown))
    if rule is not None and rule.people:
        facts.append(("what it means", rule.people))
    if rule is not None and rule.action:
        facts.append(("do first", html.Code(rule.action)))
    (_, runbook), *_ = links.of(rule, episode.rule)
    then = html.A("the runbook", href=runbook) if links.runbooks else html.Code(runbook)
    facts.append(("do then" if rule is not None and rule.action else "do", then))
    if rule is not None and rule.page:
        facts.append(("shown on", html.A(rule.page.capitalize(), href=f"/{rule.page}")))
    if silenced is not None:
        facts.append(
            (
                "silenced",
                f"by {silenced.by.name} until {moment_text(_moment(silenced.ends_at))}: {silenced.reason}",
            )
        )
    state = (
        badge("unknown", "unknown")
        if episode.state == "unknown"
        else badge(ALERT_LEVELS[episode.severity], episode.severity)
    )
    parts: list[Component] = [html.P([state, f" {episode.summary}"]), facts_block(facts)]
    if episode.acknowledged is not None:
        said = episode.acknowledged
        parts.append(
            html.P(f"{said.by.name} looks after it since {moment_text(_moment(said.at))}: {said.reason}")
        )
    elif request.reader.may("approver"):
        parts.append(
            action_form(
                "acknowledge",
                [
                    FormField(type="hidden", name="episode", defaultValue=episode.episode_id),
                    html.Label(
                        [
                            "What you do about it",
                            FormField(
                                type="text", name="reason", required=True, maxLength=LONGEST_REASON_TEXT
                            ),
                        ]
                    ),
                ],
                submit="I look after it",
                label=f"Acknowledge {episode.rule}",
            )
        )
    return section_block(
        episode.rule if not episode.labels else f"{episode.rule} {_labels(episode.labels)}", parts
    )


def _rules(found: _Alerts, *, stale: bool) -> Component:
    states, levels = list(_STATES), list(ALERT_LEVELS)

    def place(pair: tuple[int, RuleStatus]) -> tuple[int, int, str]:
        rule = found.rules.named(pair[1].rule)
        severity = len(levels) if rule is None else levels.index(rule.severity)
        return states.index(pair[1].state), severity, pair[1].rule

    statuses = sorted(found.now.statuses, key=place)
    since = {episode.rule: episode.fired_at or episode.started_at for episode in reversed(found.now.told)}
    table = PageTable(
        header=("rule", "level", "state", "last number" if stale else "number now", "should be", "do"),
        rows=[
            _rule_row(status, found.rules.named(status.rule), since.get(status.rule), stale=stale)
            for _, status in statuses
            if status.state != "elsewhere"
        ],
        units={},
        name="rules",
        empty="No rule was evaluated yet: `leadscore monitor` does it.",
    )
    parts: list[Component] = [table_block(table, caption="Rules and what they say now")]
    elsewhere = [status.rule for _, status in statuses if status.state == "elsewhere"]
    if elsewhere:
        words = f"{len(elsewhere)} more rules, which only Prometheus evaluates (the chart brings them)"
        parts.append(html.Details([html.Summary(words), html.Ul([html.Li(name) for name in elsewhere])]))
    return section_block("Rules", parts)


def _rule_row(
    status: RuleStatus, rule: AlertRule | None, since: int | None, *, stale: bool
) -> tuple[object, ...]:
    level, words = _STATES[status.state]
    was = ""
    if stale and status.state in {"ok", "pending"}:
        level, words, was = "unknown", "not known", f"was {words}"
    if rule is not None and status.state == "firing":
        level = ALERT_LEVELS[rule.severity]
    begun = "" if since is None else f" since {moment_text(_moment(since))}"
    numbers = number_lines(status.members[:_NUMBERS], rule, bound=False)
    links = AlertLinks.from_environment()
    (_, runbook), *_ = links.of(rule, status.rule)
    do = html.A("Runbook", href=runbook) if links.runbooks else f"`{runbook}`"
    return (
        html.Span(status.rule, className="short"),
        html.Span("–" if rule is None else rule.severity, className="short"),
        html.Span([badge(level, words), begun, *([" ", was] if was else [])]),
        # Of several numbers some may be unknown: the rule has its number all the same.
        html.Ul([html.Li(text) for text in numbers])
        if len(numbers) > 1
        else next(iter(numbers), "") or status.unknown or "–",
        html.Span("–" if rule is None else bound_text(rule), className="short"),
        "–" if status.state == "ok" else do,
    )


def _silences(found: _Alerts, request: PageRequest) -> Component:
    rows = [(s.words, s.by.name, s.reason, _moment(s.ends_at), s.silence_id) for s in found.silences]
    table = PageTable(
        header=("alerts", "by", "reason", "until", "id"),
        rows=rows,
        units={},
        name="silences",
        empty="Nothing is silenced.",
    )
    parts: list[Component] = [table_block(table, caption="Silences in force")]
    if request.reader.may("approver"):
        parts += [_silence_form(found), *([_end_form(found)] if found.silences else [])]
    return section_block("Silences", parts)


def _silence_form(found: _Alerts) -> Component:
    names = [(rule.alert, rule.alert) for rule in found.rules.rules]
    return action_form(
        "silence",
        [
            html.Div(
                [
                    _choice("Alert", "alert", names),
                    _choice("For", "length", _LENGTHS),
                ],
                className="row",
            ),
            html.Label(
                [
                    "Why nobody is to be told",
                    FormField(type="text", name="reason", required=True, maxLength=LONGEST_REASON_TEXT),
                ]
            ),
        ],
        submit="Silence",
        label="Silence an alert",
    )


def _end_form(found: _Alerts) -> Component:
    choices = [(s.silence_id, f"{s.words} ({s.by.name})") for s in found.silences]
    return action_form(
        "end-silence", [_choice("Silence", "silence", choices)], submit="End it now", label="End a silence"
    )


def _choice(label: str, name: str, choices: Sequence[tuple[str, str]]) -> Component:
    return html.Label(
        [label, html.Select([html.Option(words, value=value) for value, words in choices], name=name)]
    )


def _history(found: _Alerts) -> Component:
    rows = [
        (
            _moment(e.fired_at or e.started_at),
            "–" if e.ended_at is None else _moment(e.ended_at),
            e.rule,
            badge(ALERT_LEVELS[e.severity], e.severity),
            e.state,
            e.summary,
            "nobody" if e.acknowledged is None else e.acknowledged.by.name,
        )
        for e in found.recent
        if e.state != "pending"
    ]
    table = PageTable(
        header=("since", "until", "alert", "level", "state", "what", "looked after by"),
        rows=rows,
        units={},
        name="alerts",
        empty="No alert began in this time range.",
    )
    return section_block("History", [table_block(table, caption="Alerts that began in this time range")])


def _deliveries(found: _Alerts) -> Component:
    rows = [(c.channel, c.waiting, c.dead) for c in found.channels]
    table = PageTable(
        header=("channel", "waiting", "given up"),
        rows=rows,
        units={"waiting": "count", "given up": "count"},
        name="deliveries",
        empty="Nothing was to be delivered yet. Channels are set up by LEADSCORE_SLACK_URL and the like.",
    )
    return section_block("Deliveries", [table_block(table, caption="Messages by channel")])


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(labels.items()))


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


# --- What the forms do ------------------------------------------------------------------------------------


def _caller(person: ConsolePerson) -> Caller:
    return Caller(person.kind, person.name, person.address)


def _acknowledge(request: ActionRequest) -> ActionResult:
    channels = frozenset(senders(ChannelSecrets.from_environment()))
    audience = Audience(rules_or_defaults(rules_path())[0], channels, AlertLinks.from_environment())
    episode = acknowledge(
        request.store,
        audience,
        request.fields.get("episode", ""),
        _caller(request.person),
        request.fields.get("reason", ""),
        _microseconds(request.now),
    )
    return ActionResult(sentence=f"{request.person.name} looks after {episode.rule}.")


def _silence(request: ActionRequest) -> ActionResult:
    silence = add_silence(
        request.store,
        rules_or_defaults(rules_path())[0],
        [f"alert={request.fields.get('alert', '')}"],
        parse_duration(request.fields.get("length", "")),
        _caller(request.person),
        request.fields.get("reason", ""),
        now=_microseconds(request.now),
    )
    return ActionResult(sentence=f"Nobody is told of it until {moment_text(_moment(silence.ends_at))}.")


def _end_silence(request: ActionRequest) -> ActionResult:
    silence_id = request.fields.get("silence", "")
    end_silence(request.store, silence_id, _caller(request.person), _microseconds(request.now))
    return ActionResult(sentence="The silence has ended.")


PAGE: Final = ConsolePage(
    path="/alerts",
    title="Alerts",
    group="Operations",
    question="What is wrong now, who looks after it, and what was wrong?",
    build=build,
    span="7d",
)
ALERT_ACTIONS: Final = (
    ConsoleAction(name="acknowledge", role="approver", run=_acknowledge),
    ConsoleAction(name="silence", role="approver", run=_silence),
    ConsoleAction(name="end-silence", role="approver", run=_end_silence),
)
