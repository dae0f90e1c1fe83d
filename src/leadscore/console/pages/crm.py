"""CRM: which systems are told of scores, what waits for them, what was given up, and where webhooks go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from dash import html
from dash.development.base_component import Component

from leadscore.console.blocks import (
    PageTable,
    action_form,
    badge,
    empty_block,
    error_block,
    section_block,
    table_block,
)
from leadscore.console.fields import FormField
from leadscore.console.numbers import age_text
from leadscore.console.page import (
    ActionRequest,
    ActionResult,
    ConsoleAction,
    ConsolePage,
    NumberTile,
    PageContent,
    PageRequest,
    PageVerdict,
    VerdictLevel,
)
from leadscore.crm.endpoints import (
    WebhookEndpoint,
    add_endpoint,
    read_endpoints,
    read_key,
    remove_endpoint,
    rotate_secret,
    set_endpoint_state,
)
from leadscore.crm.status import (
    TargetStatus,
    crm_dead_letters,
    longest_wait,
    read_target_statuses,
    resend_scores,
)
from leadscore.crm.tables import CRM_REVISION
from leadscore.crm.targets import CrmTargets, load_targets, targets_path
from leadscore.errors import BadInputError, LeadScoreError
from leadscore.identity.caller import Caller
from leadscore.monitoring.measures import Measure
from leadscore.monitoring.queries.freshness import read_freshness
from leadscore.outbox.queue import DELIVERED_MOST, DeadLetter

_LETTERS: Final = 100
_STATES: Final[dict[str, tuple[VerdictLevel, str]]] = {
    "on": ("good", "on"),
    "disabled": ("warning", "disabled"),
    "unknown": ("unknown", "not configured"),
}


@dataclass(frozen=True, slots=True)
class _Crm:
    """What the store and the file say about targets."""

    statuses: tuple[TargetStatus, ...]
    letters: Sequence[DeadLetter]
    endpoints: tuple[WebhookEndpoint, ...]
    broken: str
    # When the monitor, which queues and sends scores, was last at work; None: it never was.
    seen: datetime | None = None


def build(request: PageRequest) -> PageContent:
    """Read how targets do and make the page."""
    request.store.require_revision(CRM_REVISION)
    targets, broken = _targets()
    with request.store.reading() as connection:
        found = _Crm(
            read_target_statuses(connection, targets, _microseconds(request.now)),
            crm_dead_letters(connection),
            read_endpoints(connection),
            broken,
            read_freshness(connection).seen,
        )
    return crm_content(found, request)


def _targets() -> tuple[CrmTargets, str]:
    try:
        return load_targets(targets_path()), ""
    except LeadScoreError as error:
        return CrmTargets(), error.message


def crm_content(found: _Crm, request: PageRequest) -> PageContent:
    """Build the page. Pure."""
    body: list[Component] = []
    if found.broken:
        hint = "Targets of the file are not shown here; the monitor goes on with what it read before."
        body.append(error_block(found.broken, hint=hint))
    body += [_status_table(found, request), _letters(found, request), _endpoints(found, request)]
    return PageContent(verdict=_verdict(found, request), tiles=_tiles(found), body=body, as_of=found.seen)


def _stuck(status: TargetStatus, now: datetime) -> bool:
    oldest = status.backlog.oldest_at
    return oldest is not None and _microseconds(now) - oldest > longest_wait(status.backlog.channel)


def _verdict(found: _Crm, request: PageRequest) -> PageVerdict:
    if found.broken:
        return PageVerdict(level="unknown", sentence="The file of targets cannot be read.")
    if not found.statuses:
        return PageVerdict(level="info", sentence="No system is told of scores yet.")
    wrong = _wrong(found, request.now)
    if wrong:
        return PageVerdict(level="warning", sentence=wrong)
    if found.seen is None:
        return PageVerdict(
            level="unknown",
            sentence="Whether targets have the newest scores is not known: nobody has looked yet. "
            "Start `leadscore monitor`, which sends them.",
        )
    return PageVerdict(level="good", sentence="Every target has the newest scores, or gets them just now.")


def _wrong(found: _Crm, now: datetime) -> str:
    off = [status.name for status in found.statuses if status.state != "on"]
    if off:
        return f"Nothing is sent to {', '.join(off)}."
    stuck = [status.name for status in found.statuses if _stuck(status, now)]
    if stuck:
        return f"Scores wait for too long to be taken by {', '.join(stuck)}."
    return "Some scores were given up: somebody has to decide." if found.letters else ""


def _tiles(found: _Crm) -> list[NumberTile]:
    def count(label: str, number: int, level: VerdictLevel | None = None) -> NumberTile:
        measure = Measure(value=number, n=number, as_of=found.seen)
        if found.broken:
            measure = Measure.missing("The file of targets cannot be read.", as_of=found.seen)
        return NumberTile(label=label, measure=measure, level=level if number else None)

    return [
        count("Targets", len(found.statuses)),
        count("Scores that wait", sum(s.backlog.waiting for s in found.statuses)),
        count(_delivered_label(found), sum(s.backlog.delivered for s in found.statuses)),
        count("Given up", sum(s.backlog.dead for s in found.statuses), "warning"),
    ]


def _delivered_label(found: _Crm) -> str:
    at_least = any(status.backlog.delivered >= DELIVERED_MOST for status in found.statuses)
    return "Delivered in 30 days, at least" if at_least else "Delivered in 30 days"


def _status_table(found: _Crm, request: PageRequest) -> Component:
    rows = [
        (
            s.name,
            s.kind or "–",
            badge(*_STATES[s.state]),
            s.leads,
            s.backlog.waiting,
            "–" if s.backlog.oldest_at is None else age_text(_moment(s.backlog.oldest_at), request.now),
            s.backlog.dead,
            "–" if s.held_until is None else _moment(s.held_until),
            s.reason or s.held_why or s.backlog.last_error or "–",
        )
        for s in found.statuses
    ]
    table = PageTable(
        header=(
            *("target", "kind", "state", "leads with a score", "waiting", "oldest from", "given up"),
            "held until",
            "last error",
        ),
        rows=rows,
        units={"leads with a score": "count", "waiting": "count", "given up": "count"},
        name="targets",
        empty="Name a file of targets in LEADSCORE_CRM, or add a webhook endpoint below.",
    )
    return section_block("Targets", [table_block(table, caption="Systems that are told of scores")])


def _letters(found: _Crm, request: PageRequest) -> Component:
    rows = [
        (d.number, d.channel.partition(":")[2], d.stream, _moment(d.settled_at), d.attempts, d.last_error)
        for d in found.letters[:_LETTERS]
    ]
    table = PageTable(
        header=("number", "target", "lead", "given up", "attempts", "last error"),
        rows=rows,
        units={"attempts": "count"},
        name="dead-letters",
        empty="Nothing was given up.",
    )
    parts: list[Component] = [table_block(table, caption="Scores that were given up")]
    left = len(found.letters) - _LETTERS
    if left > 0:
        parts.append(html.P(f"{left} older ones are not shown.", className="hint"))
    names = sorted({letter.channel.partition(":")[2] for letter in found.letters})
    if names and request.reader.may("admin"):
        choice = _choice("Target", "target", [(name, name) for name in names])
        parts.append(
            action_form("resend-scores", [choice], submit="Send again", label="Send what was given up again")
        )
    return section_block("Given up", parts)


def _endpoints(found: _Crm, request: PageRequest) -> Component:
    rows = [
        (
            e.name,
            # Whoever knows the path could send something there.
            e.url if request.reader.may("admin") else urlsplit(e.url).netloc,
            badge(*_STATES[e.state]),
            e.generation,
            _moment(e.rotated_at or e.created_at),
            "–" if e.failing_since is None else age_text(_moment(e.failing_since), request.now),
        )
        for e in found.endpoints
    ]
    table = PageTable(
        header=("name", "address", "state", "secret number", "secret since", "failing since"),
        rows=rows,
        units={},
        name="endpoints",
        empty="There is none.",
    )
    parts: list[Component] = [table_block(table, caption="Webhook endpoints")]
    if not request.reader.may("admin"):
        parts.append(empty_block("Endpoints are managed by people with the role admin."))
        return section_block("Webhook endpoints", parts)
    parts.append(_add_form())
    if found.endpoints:
        parts.append(_change_form(found.endpoints))
    return section_block("Webhook endpoints", parts)


def _add_form() -> Component:
    fields = [
        html.Label(["Name", FormField(type="text", name="name", required=True, maxLength=40)]),
        html.Label(["Address", FormField(type="url", name="url", required=True, maxLength=2_000)]),
    ]
    return action_form(
        "add-endpoint", [html.Div(fields, className="row")], submit="Add", label="Add a webhook endpoint"
    )


def _change_form(endpoints: Sequence[WebhookEndpoint]) -> Component:
    # Nothing is chosen yet: no click alone gives an endpoint a new secret, or removes it.
    changes = [("", "Choose …"), *((name, words) for name, (words, _) in _CHANGES.items())]
    fields = [
        _choice("Endpoint", "name", [(e.name, e.name) for e in endpoints]),
        _choice("What to do", "change", changes),
    ]
    return action_form(
        "change-endpoint", [html.Div(fields, className="row")], submit="Do it", label="Change an endpoint"
    )


def _choice(label: str, name: str, choices: Sequence[tuple[str, str]]) -> Component:
    return html.Label(
        [
            label,
            html.Select(
                [html.Option(words, value=value) for value, words in choices], name=name, required=True
            ),
        ]
    )


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


# --- What the forms do ------------------------------------------------------------------------------------


def _caller(request: ActionRequest) -> Caller:
    return Caller(request.person.kind, request.person.name, request.person.address)


def _add(request: ActionRequest) -> ActionResult:
    targets, _ = _targets()
    found, secret = add_endpoint(
        request.store,
        read_key(request.home, make=True),
        request.fields.get("name", ""),
        request.fields.get("url", ""),
        _caller(request),
        _microseconds(request.now),
        taken=lambda name: targets.named(name) is not None,
    )
    return ActionResult(sentence=_secret_sentence(found, secret))


def _rotate(request: ActionRequest) -> ActionResult:
    found, secret = rotate_secret(
        request.store,
        read_key(request.home),
        request.fields.get("name", ""),
        _caller(request),
        _microseconds(request.now),
    )
    return ActionResult(sentence=_secret_sentence(found, secret))


def _secret_sentence(found: WebhookEndpoint, secret: str) -> str:
    return f"The secret of {found.name} is {secret} – copy it now, it is not shown again."


def _disable(request: ActionRequest) -> ActionResult:
    found = set_endpoint_state(
        request.store,
        request.fields.get("name", ""),
        "disabled",
        _caller(request),
        _microseconds(request.now),
        reason=f"By {request.person.name}.",
    )
    return ActionResult(sentence=f"Nothing is sent to {found.name}; what changes is kept.")


def _enable(request: ActionRequest) -> ActionResult:
    found = set_endpoint_state(
        request.store, request.fields.get("name", ""), "on", _caller(request), _microseconds(request.now)
    )
    return ActionResult(sentence=f"{found.name} is told again; what waited comes first.")


def _remove(request: ActionRequest) -> ActionResult:
    name = request.fields.get("name", "")
    remove_endpoint(request.store, name, _caller(request), _microseconds(request.now))
    return ActionResult(sentence=f"{name} is removed.")


# Under the name that the form posts: what the choice says, and what does it.
_CHANGES: Final[dict[str, tuple[str, Callable[[ActionRequest], ActionResult]]]] = {
    "rotate": ("Give it a new secret", _rotate),
    "disable": ("Send nothing to it", _disable),
    "enable": ("Send to it again", _enable),
    "remove": ("Remove it, with what waits for it", _remove),
}


def _change(request: ActionRequest) -> ActionResult:
    chosen = _CHANGES.get(request.fields.get("change", ""))
    if chosen is None:
        raise BadInputError(
            "It is not said what to do with the endpoint.", hint=f"Choose one of {', '.join(_CHANGES)}."
        )
    return chosen[1](request)


def _resend(request: ActionRequest) -> ActionResult:
    target = request.fields.get("target", "")
    with request.store.writing() as connection:
        count = resend_scores(connection, (), target, _microseconds(request.now))
    return ActionResult(sentence=f"{count} scores for {target} are tried again.")


PAGE: Final = ConsolePage(
    path="/crm",
    title="CRM",
    group="Operations",
    question="Does every system that is told of scores have the newest ones?",
    build=build,
    span="",
)
CRM_ACTIONS: Final = (
    ConsoleAction(name="add-endpoint", role="admin", run=_add),
    ConsoleAction(name="change-endpoint", role="admin", run=_change),
    ConsoleAction(name="resend-scores", role="admin", run=_resend),
)
