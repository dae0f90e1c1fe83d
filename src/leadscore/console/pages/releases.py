"""Releases: which candidate is on its way to traffic, what speaks for and against it, who has to answer.

An answer passes `release.approval.record_approval`, as on the command line: the person's own key signs it, or
a token that the issuer gave out for exactly this statement proves it. Nothing here can approve by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from dash import html
from dash.development.base_component import Component

from leadscore.console.blocks import (
    PageTable,
    action_form,
    badge,
    code_marked,
    empty_block,
    facts_block,
    section_block,
    table_block,
)
from leadscore.console.fields import FormField
from leadscore.console.numbers import as_sentence, moment_text
from leadscore.console.page import (
    ActionRequest,
    ActionResult,
    ConsoleAction,
    ConsolePage,
    NumberTile,
    PageContent,
    PageFilter,
    PageReader,
    PageRequest,
    PageVerdict,
)
from leadscore.console.pages.release_evidence import evidence_blocks
from leadscore.console.reading import currency_of
from leadscore.drift.verdict import as_utc
from leadscore.errors import BadInputError, ForbiddenError, NotFoundError, RefusedError, UnavailableError
from leadscore.events.records import Evidence
from leadscore.identity.approvers import Approvers
from leadscore.identity.caller import KEY, checked_reason
from leadscore.monitoring.measures import Measure
from leadscore.registry.store import ModelRegistry
from leadscore.registry.versions import ModelVersion
from leadscore.release.approval import (
    LONGEST_REASON,
    Approval,
    ApprovalVerdict,
    Binding,
    answers_of,
    nonce_for,
    record_approval,
)
from leadscore.release.evidence import binding_for
from leadscore.release.progress import ReleaseProgress, in_a_sentence, release_progress

_KINDS: Final = ("gate", "replay", "shadow", "approval-request", "approval", "kpi", "experiment", "release")
# Versions whose state is worked out; older ones are in the list of records.
_NEWEST: Final = 6
_STATES: Final = {"yes": "✓ yes", "no": "✕ no", "open": "waits", "absent": "–"}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the registry and the store say.

    Attributes:
        versions: Newest first; None: the registry cannot be asked, and `why` says why.
        progress: Of the newest ones that are not archived.
        shown: The version whose evidence is shown; None: there is none.
        binding: What an answer about it would be about; None: it cannot be answered, and `lacking` says why.
        answer: The newest one about these bytes that counts, and whether it is the answer to that question.
        currency: Of revenue in its evidence; empty if its contract does not say.
    """

    records: tuple[Evidence, ...]
    versions: tuple[ModelVersion, ...] | None
    why: str
    progress: tuple[ReleaseProgress, ...]
    shown: ModelVersion | None
    binding: Binding | None
    lacking: str
    answer: tuple[Evidence, Approval] | None = None
    currency: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether the question that the evidence poses now has its answer: there is one of each."""
        if self.binding is None or self.answer is None:
            return False
        return self.answer[1].binding.evidence_id == self.binding.evidence_id


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    seen = _look(request)
    body: list[Component] = [_candidates(seen)]
    if seen.shown is not None:
        body += _one(seen, seen.shown, request.reader)
    body.append(_records(seen))
    if request.reader.may("approver"):
        body.append(_going_back(seen, request.model))
    versions = seen.versions or ()
    choices = [("", "Newest"), *((version.ref, version.ref) for version in versions)]
    chosen = PageFilter(
        name="version", label="Version", value=request.filters.get("version", ""), choices=choices
    )
    waiting = sum(_waits(progress) for progress in seen.progress)
    tiles = [
        NumberTile(
            label="Waiting for an answer",
            measure=Measure.missing("The registry cannot be asked.")
            if seen.versions is None
            else Measure(value=waiting, n=len(versions), as_of=request.now),
            level="warning" if waiting else None,
            note="of all versions",
        )
    ]
    return PageContent(verdict=_verdict(seen), tiles=tiles, body=body, filters=[chosen])


def _look(request: PageRequest) -> _Seen:
    prefix = f"{request.model}/"
    records = tuple(r for r in request.store.evidence(kind=_KINDS, limit=500) if r.subject.startswith(prefix))
    now = request.now.timestamp()
    try:
        # A page makes no database where there is none, and waits for no import of MLflow.
        found = ModelRegistry(request.home, with_mlflow=False).versions(request.model)
    except UnavailableError as error:
        return _Seen(records, None, error.message, (), None, None, error.message)
    versions = tuple(sorted(found, key=lambda version: version.version, reverse=True))
    live = [version for version in versions if version.stage != "Archived"][:_NEWEST]
    progress = tuple(release_progress(request.store, v, request.approvers, now) for v in live)
    asked = request.filters.get("version", "")
    shown = next((version for version in versions if version.ref == asked), None)
    if asked and shown is None:
        raise NotFoundError(
            f"There is no version {asked[:100]!r}.",
            hint="The list on the page has all, archived ones too.",
        )
    if shown is None:
        waiting = [v for v, p in zip(live, progress, strict=True) if _waits(p)]
        shown = next(iter([*waiting, *live]), None)
    if shown is None:
        return _Seen(records, versions, "", progress, None, None, "")
    binding, lacking = None, ""
    try:
        binding = binding_for(request.store, shown, request.approvers, now)
    except RefusedError as error:
        lacking = f"{as_sentence(error.message)} {error.hint}"
    answered = newest_answer(answers_of(request.store, shown.ref), shown.digest, request.approvers, now)
    currency = currency_of(request, str(shown.version))
    return _Seen(records, versions, "", progress, shown, binding, lacking, answered, currency)


def newest_answer(
    answers: Sequence[tuple[Evidence, Approval]], digest: str, approvers: Approvers, now: float
) -> tuple[Evidence, Approval] | None:
    """The newest answer about some bytes that counts, of answers that are newest first; else None."""
    return next(
        (
            (record, said)
            for record, said in answers
            if said.binding.digest == digest and not said.why_not(approvers, now)
        ),
        None,
    )


def _waits(progress: ReleaseProgress) -> bool:
    return any(check.name == "approval" and check.state == "open" for check in progress.checks)


def _verdict(seen: _Seen) -> PageVerdict:
    if seen.versions is None:
        return PageVerdict(level="unknown", sentence=f"Which version serves is not known: {seen.why}")
    champion = next((v.ref for v in seen.versions if v.stage == "Production"), None)
    serves = "no version is champion" if champion is None else f"{champion} is champion"
    waiting = [progress.ref for progress in seen.progress if _waits(progress)]
    if waiting:
        return PageVerdict(
            level="warning",
            sentence=f"{' and '.join(waiting)} {'waits' if len(waiting) == 1 else 'wait'}"
            f" for a person’s answer; {serves}.",
        )
    if champion is None:
        return PageVerdict(level="info", sentence="No version is champion yet. `leadscore train` makes one.")
    return PageVerdict(level="good", sentence=f"Nothing waits for an answer; {serves}.")


def _candidates(seen: _Seen) -> Component:
    if seen.versions is None:
        return section_block("Versions", [empty_block(seen.why, hint="The event store's records are below.")])
    rows = [
        (
            html.A(progress.ref, href=f"/releases?version={progress.ref}"),
            *(_STATES[check.state] for check in progress.checks),
            progress.next,
        )
        for progress in seen.progress
    ]
    table = PageTable(
        header=("version", "gate", "replay or shadow", "approval", "champion", "next"),
        rows=rows,
        units={},
        name="versions",
        empty="No version is registered. `leadscore train` makes the first.",
    )
    return section_block("Versions", [table_block(table, caption="Newest versions and what they have")])


def _one(seen: _Seen, shown: ModelVersion, reader: PageReader) -> list[Component]:
    progress = next((p for p in seen.progress if p.ref == shown.ref), None)
    facts: list[tuple[str, object]] = [
        ("stage", shown.stage),
        ("artefact digest", html.Code(shown.digest)),
        ("registered", f"{shown.created_at:%Y-%m-%d %H:%M} UTC"),
        *(
            (c.name, c.says)
            for c in (progress.checks if progress is not None else ())
            if c.name != "champion"
        ),
    ]
    records = [record for record in seen.records if record.subject == shown.ref]
    return [
        section_block(f"{shown.ref}", [facts_block(facts), *_answer(seen, shown, reader)]),
        *evidence_blocks(records, shown.digest, seen.currency),
    ]


def _answer(seen: _Seen, shown: ModelVersion, reader: PageReader) -> list[Component]:
    """The form of an answer, or why there is none."""
    binding = seen.binding
    decided = [] if seen.answer is None else [_decided(*seen.answer)]
    if seen.is_answered or shown.stage in {"Production", "Archived"}:
        return decided
    if binding is None:
        return [*decided, html.P(code_marked(f"It cannot be approved. {seen.lacking}"), className="hint")]
    if decided:
        decided.append(html.P("There is newer evidence since, so it can be answered anew.", className="hint"))
    return [*decided, *_question(binding, shown, reader)]


def _decided(record: Evidence, said: Approval) -> Component:
    """Who answered what, when, and why."""
    approved = said.verdict == "approved"
    badges = badge("good" if approved else "critical", "Approved" if approved else "Denied")
    words = f" by {said.by} on {moment_text(as_utc(record.at))}: {as_sentence(said.reason)}"
    then = " Its release goes on by itself." if approved else " Its release has ended; train another version."
    return html.P([badges, words, then])


def _question(binding: Binding, shown: ModelVersion, reader: PageReader) -> list[Component]:
    if not reader.may("approver"):
        return [html.P("To answer, sign in with a key that has the scope approve.", className="hint")]
    sign = (
        "Your API key, once more: it signs the answer and is not kept"
        if reader.kind == "key"
        else "An API key to sign with; left empty, your organisation’s login asks who you are"
    )
    form = action_form(
        "answer",
        [
            FormField(type="hidden", name="ref", defaultValue=shown.ref),
            FormField(type="hidden", name="digest", defaultValue=shown.digest),
            FormField(type="hidden", name="about", defaultValue=binding.evidence_id),
            html.Label(
                [
                    "Answer",
                    html.Select(
                        [
                            html.Option("Choose …", value=""),
                            html.Option("Approve: let it go on to traffic", value="approved"),
                            html.Option("Deny: end its release", value="denied"),
                        ],
                        name="verdict",
                        required=True,
                    ),
                ]
            ),
            html.Label(
                [
                    "Reason, kept for good",
                    html.Textarea(name="reason", required=True, maxLength=LONGEST_REASON),
                ]
            ),
            html.Label(
                [
                    sign,
                    FormField(
                        type="password", name="credential", autoComplete="off", required=reader.kind == "key"
                    ),
                ]
            ),
        ],
        submit="Answer",
        label=f"Answer to {shown.ref}",
    )
    asks = f"The release {binding.release} asks." if binding.release else "No release has asked yet."
    bound = ", ".join(binding.evidence)
    return [
        html.H3("Your answer"),
        html.P(
            f"{asks} An answer is given once, to these bytes and to this evidence: {bound}.", className="hint"
        ),
        form,
    ]


def _records(seen: _Seen) -> Component:
    rows = [
        (as_utc(record.at), record.subject, record.kind, in_a_sentence(record), record.evidence_id)
        for record in seen.records[:100]
    ]
    table = PageTable(
        header=("when", "version", "what", "says", "evidence"),
        rows=rows,
        units={},
        name="release-records",
        empty="Nothing is on record about any version.",
    )
    return section_block("Records, newest first", [table_block(table, caption="Records about versions")])


def _going_back(seen: _Seen, model: str) -> Component:
    """Stopping what was approved, and going back to the champion before."""
    versions = seen.versions or ()
    champion = next((v for v in versions if v.stage == "Production"), None)
    before = next((v for v in versions if "previous" in v.aliases), None)
    parts: list[Component] = [
        html.P(
            [
                "A release under way is stopped on the cluster, which the console has no rights to change: ",
                html.Code('kubectl patch modelrelease NAME --type merge -p \'{"spec":{"abort":true}}\''),
            ]
        )
    ]
    if champion is not None and before is not None:
        parts += [
            html.P(f"{champion.ref} is champion; before it was {before.ref}."),
            action_form(
                "roll-back",
                [
                    FormField(type="hidden", name="model", defaultValue=model),
                    FormField(type="hidden", name="champion", defaultValue=str(champion.version)),
                    FormField(type="hidden", name="to", defaultValue=str(before.version)),
                    html.Label(
                        ["Reason", html.Textarea(name="reason", required=True, maxLength=LONGEST_REASON)]
                    ),
                ],
                submit=f"Make {before.ref} champion again",
                label="Go back to the champion before",
            ),
        ]
    return section_block("Undo", parts)


# --- What the forms do ------------------------------------------------------------------------------------


def answer(request: ActionRequest) -> ActionResult:
    """Record a person's answer to a candidate, or send them to their issuer to prove that it is theirs.

    Raises:
        BadInputError: No answer, or no reason.
        RefusedError: The candidate or its evidence is not what the person looked at; it was answered before.
        UnauthorizedError: The credential is nobody's, or was given out for something else.
        ForbiddenError: It is another person's, or its holder may not approve.
        UnavailableError: Registry, store, key file or issuer cannot be asked.
    """
    fields, now = request.fields, request.now.timestamp()
    verdict = fields.get("verdict", "")
    if verdict not in {"approved", "denied"}:
        raise BadInputError("No answer was chosen.", hint="Choose to approve or to deny.")
    version = ModelRegistry(request.home).resolve(fields.get("ref", ""))
    binding = binding_for(request.store, version, request.approvers, now)
    if (version.digest, binding.evidence_id) != (fields.get("digest"), fields.get("about")):
        raise RefusedError(
            f"{version.ref} or its evidence has changed since the page was made.",
            hint="Load the page, look again.",
        )
    said, reason = cast("ApprovalVerdict", verdict), fields.get("reason", "")
    credential = fields.get("credential", "").encode()
    if not credential:
        if request.person.kind == KEY:
            raise BadInputError("Nothing signs the answer.", hint="Give your API key once more.")
        again = {key: fields[key] for key in ("ref", "digest", "about", "verdict", "reason")}
        return ActionResult(sentence="", login_nonce=nonce_for(binding, said, reason), login_fields=again)
    holder = request.approvers.authenticate(credential, now).caller
    if (holder.kind, holder.name) != (
        request.person.kind,
        request.person.name,
    ) and request.person.kind == KEY:
        raise ForbiddenError(
            f"You are signed in as {request.person.name!r}, and this key is of {holder.name!r}.",
            hint="Answer in your own name: sign in with the key that signs.",
        )
    done, new = record_approval(
        request.store,
        binding,
        said,
        credential=credential,
        approvers=request.approvers,
        reason=reason,
        at=int(now * 1e6),
    )
    return ActionResult(
        sentence=f"{version.ref} is {done.verdict} by {done.by}{'' if new else ', as it was already'}."
    )


def roll_back(request: ActionRequest) -> ActionResult:
    """Make the champion before champion again, in the registry.

    Raises:
        BadInputError: No reason.
        RefusedError: There is none.
        ConflictError: Another is champion than the person saw.
        UnavailableError: The registry cannot be asked.
    """
    fields = request.fields
    reason = checked_reason(fields.get("reason", ""), LONGEST_REASON)
    champion, model = fields.get("champion", ""), fields.get("model", "")
    if not (champion.isascii() and champion.isdecimal()):
        raise BadInputError("It was not said which version is to be left.", hint="Load the page, look again.")
    decision = ModelRegistry(request.home).rollback(
        model, reason=reason, by=request.person.name, expected_champion=int(champion)
    )
    return ActionResult(sentence=f"{model}/{decision.version} is champion again.")


PAGE: Final = ConsolePage(
    path="/releases",
    title="Releases",
    group="Model",
    question="Which version is on its way to traffic, and what does it need?",
    build=build,
    span="",
    asks="The registry of models or the event store",
)
ANSWER: Final = ConsoleAction(name="answer", role="approver", run=answer)
ROLL_BACK: Final = ConsoleAction(name="roll-back", role="approver", run=roll_back)
