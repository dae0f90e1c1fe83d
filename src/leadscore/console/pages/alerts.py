"""Alerts: what fires, who looks after it, what is silenced, and whether the rules were evaluated at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from dash import html
from dash.development.base_component import Component

from leadscore.alerts.channels import ChannelSecrets, senders
from leadscore.alerts.episodes import (
    Audience,
    acknowledge,
    read_open,
    read_recent,
    read_rule_statuses,
)
from leadscore.alerts.evaluate import Episode, RuleStatus
from leadscore.alerts.messages import AlertLinks
from leadscore.alerts.rules import AlertRules, rules_or_defaults, rules_path
from leadscore.alerts.silences import LONGEST_REASON_TEXT, Silence, add_silence, end_silence, read_silences
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
from leadscore.console.numbers import UNKNOWN_TEXT, age_text, moment_text, number_text
from leadscore.console.page import (
    ActionRequest,
    ActionResult,
    ConsoleAction,
    ConsolePage,
    ConsolePerson,
    NumberTile,
    PageContent,
    PageRequest,
    PageVerdict,
    VerdictLevel,
)
from leadscore.durations import parse_duration
from leadscore.identity.caller import Caller
from leadscore.monitoring.measures import Measure
from leadscore.outbox.queue import ChannelBacklog, backlogs

# Rules that were evaluated longer ago say nothing about now.
_STALE: Final = timedelta(minutes=5)
_LEVELS: Final[dict[str, VerdictLevel]] = {"critical": "critical", "warning": "warning", "info": "info"}
# Of rules, those first that somebody should look at.
_STATES: Final[dict[str, tuple[VerdictLevel, str]]] = {
    "firing": ("critical", "fires"),
    "unknown": ("unknown", "not known"),
    "pending": ("info", "begins"),
    "ok": ("good", "within bounds"),
    "elsewhere": ("info", "elsewhere"),
}
_LENGTHS: Final = (
    ("30m", "30 minutes"),
    ("2h", "2 hours"),
    ("8h", "8 hours"),
    ("1d", "a day"),
    ("7d", "a week"),
)


@dataclass(frozen=True, slots=True)
class _Alerts:
    """What the store says about alerts."""

    open: tuple[Episode, ...]
    recent: tuple[Episode, ...]
    statuses: tuple[tuple[int, RuleStatus], ...]
    silences: tuple[Silence, ...]
    channels: tuple[ChannelBacklog, ...]
    rules: AlertRules
    broken: str

    @property
    def evaluated_at(self) -> datetime | None:
        """When the rules were evaluated last."""
        return max((_moment(at) for at, _ in self.statuses), default=None)


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    now = _microseconds(request.now)
    with request.store.reading() as connection:
        found = _Alerts(
            read_open(connection),
            read_recent(connection, _microseconds(request.since), limit=300),
            read_rule_statuses(connection),
            read_silences(connection, now),
            backlogs(connection),
            *rules_or_defaults(rules_path()),
        )
    body: list[Component] = []
    if found.broken:
        hint = "What is shown here is said by the default rules; the monitor keeps those it had."
        body.append(error_block(found.broken, hint=hint))
    firing = [episode for episode in found.open if episode.state != "pending"]
    body += [_one(episode, found, request) for episode in firing]
    if not firing:
        body.append(section_block("Open alerts", [empty_block("No alert is open.")]))
    body += [_rules(found), _silences(found, request), _history(found), _deliveries(found)]
    return PageContent(
        verdict=_verdict(found, firing, request.now),
        tiles=_tiles(found, firing, request.now),
        body=body,
        as_of=found.evaluated_at,
    )


def _verdict(found: _Alerts, firing: Sequence[Episode], now: datetime) -> PageVerdict:
    at = found.evaluated_at
    if at is None or now - at > _STALE:
        since = "never" if at is None else age_text(at, now)
        more = f" {len(firing)} were open then." if firing else ""
        return PageVerdict(
            level="unknown",
            sentence=f"Whether something is wrong is not known: rules were evaluated {since}.{more} "
            "Is `leadscore monitor` running?",
        )
    worst = next(
        (e for level in _LEVELS for e in firing if e.severity == level and e.state == "firing"), None
    )
    if worst is not None:
        others = len(firing) - 1
        more = "" if not others else f" {others} more {'is' if others == 1 else 'are'} open."
        return PageVerdict(
            level=_LEVELS[worst.severity], sentence=f"{worst.rule}: {worst.summary or 'fires'}.{more}"
        )
    if firing or any(status.state == "unknown" for _, status in found.statuses):
        return PageVerdict(level="unknown", sentence="Nothing fires, but not every rule has its number.")
    return PageVerdict(level="good", sentence="No alert fires, and every rule has its number.")


def _tiles(found: _Alerts, firing: Sequence[Episode], now: datetime) -> list[NumberTile]:
    at = found.evaluated_at
    stale = at is None or now - at > _STALE
    rules = len(found.statuses)

    def count(label: str, number: int, level: VerdictLevel) -> NumberTile:
        measure = (
            Measure.missing("The rules were not evaluated lately.", as_of=at)
            if stale
            else Measure(value=number, n=rules, as_of=at)
        )
        return NumberTile(label=label, measure=measure, level=level if number and not stale else None)

    severe = [e for e in firing if e.state == "firing"]
    return [
        count("Critical", sum(e.severity == "critical" for e in severe), "critical"),
        count("Warnings", sum(e.severity == "warning" for e in severe), "warning"),
        count("Rules without a number", sum(s.state == "unknown" for _, s in found.statuses), "unknown"),
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
        *(
            (_labels(member.labels) or "number", _number(member.value, member.n))
            for member in episode.members[:5]
        ),
    ]
    if episode.unknown:
        facts.append(("not known now", episode.unknown))
    if rule is not None:
        facts += [("what it means", rule.people), ("first", html.Code(rule.action) if rule.action else "–")]
    runbook = f"{links.runbooks}/{episode.rule}.md" if links.runbooks else ""
    name = f"docs/runbooks/{episode.rule}.md"
    facts.append(("runbook", html.A(episode.rule, href=runbook) if runbook else html.Code(name)))
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
        else badge(_LEVELS[episode.severity], episode.severity)
    )
    parts: list[Component] = [html.P([state, f" {episode.summary}"]), facts_block(facts)]
    if episode.acknowledged is not None:
        said = episode.acknowledged
        parts.append(
            html.P(f"{said.by.name} looks after it since {moment_text(_moment(said.at))}: {said.reason}")
        )
    elif request.person.may("approver"):
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


def _rules(found: _Alerts) -> Component:
    order = list(_STATES)
    statuses = sorted(found.statuses, key=lambda pair: (order.index(pair[1].state), pair[1].rule))
    elsewhere = [status.rule for _, status in statuses if status.state == "elsewhere"]
    rows = [
        (status.rule, badge(_STATES[status.state][0], _STATES[status.state][1]), _says(status), _moment(at))
        for at, status in statuses
        if status.state != "elsewhere"
    ]
    table = PageTable(
        header=("rule", "state", "says", "evaluated"),
        rows=rows,
        units={},
        name="rules",
        empty="No rule was evaluated yet: `leadscore monitor` does it.",
    )
    parts: list[Component] = [table_block(table, caption="Rules and what they say now")]
    if elsewhere:
        words = f"{len(elsewhere)} more rules, which only Prometheus evaluates (the chart brings them)"
        parts.append(html.Details([html.Summary(words), html.Ul([html.Li(name) for name in elsewhere])]))
    return section_block("Rules", parts)


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
    if request.person.may("approver"):
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
            badge(_LEVELS[e.severity], e.severity),
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


def _says(status: RuleStatus) -> str:
    numbers = (f"{_labels(m.labels)} {_number(m.value, m.n)}".strip() for m in status.members[:3])
    return status.unknown or "; ".join(numbers) or "–"


def _number(value: float | None, n: int) -> str:
    said = UNKNOWN_TEXT if value is None else number_text(value)
    return f"{said} (n = {n:,})" if n else said


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
