"""`leadscore approve` and `leadscore release deny`: a person's answer to a candidate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leadscore.cli.credentials import CredentialFile, read_credential
from leadscore.cli.options import JsonOption
from leadscore.cli.output import emit, notes, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.release.approval import ApprovalVerdict

CandidateArgument = Annotated[str, typer.Argument(help="NAME/VERSION, such as leads/7.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept for good.")]
Digest = Annotated[
    str,
    typer.Option("--digest", help="Refuse unless the artefact's digest begins with this (8 digits or more)."),
]
Nonce = Annotated[
    bool,
    typer.Option(
        "--nonce",
        help="Only print the nonce that an OIDC token must carry to say this: log in with it, then answer.",
    ),
]


def approve(
    model: CandidateArgument,
    reason: Why,
    digest: Digest = "",
    key_file: CredentialFile = None,
    nonce: Nonce = False,
    as_json: JsonOption = False,
) -> None:
    """Approve a candidate by your key or token: bound to its bytes and to the evidence there is.

    Given once. To deny it: `leadscore release deny`.
    """
    answer(model, "approved", reason, digest, key_file, nonce=nonce, as_json=as_json)


def answer(
    model: str,
    verdict: ApprovalVerdict,
    reason: str,
    digest: str,
    key_file: Path | None,
    *,
    nonce: bool,
    as_json: bool,
) -> None:
    """Record an answer and say what it is about."""
    from leadscore.errors import BadInputError, RefusedError
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.identity.approvers import Approvers
    from leadscore.registry.store import ModelRegistry
    from leadscore.release import approval
    from leadscore.release.evidence import binding_for

    home, approvers, at = Home.from_environment(), Approvers.from_environment(), now_us()
    credential = b"" if nonce else read_credential(key_file)
    version = ModelRegistry(home).resolve(model)
    if digest and len(digest) < 8:
        raise BadInputError(f"{digest!r} is too short to name a digest.", hint="Give 8 digits or more.")
    if digest and not version.digest.startswith(digest.lower()):
        raise RefusedError(
            f"{version.ref} has digest {version.digest[:12]}, not {digest[:12]}.",
            hint="What you looked at is not what would be released: look again.",
        )
    with EventStore(home.events_url) as store:
        binding = binding_for(store, version, approvers, at / 1e6)
        if nonce:
            word = approval.nonce_for(binding, verdict, reason)
            emit({"nonce": word}, word, as_json=as_json)
            return
        said, new = approval.record_approval(
            store, binding, verdict, credential=credential, approvers=approvers, reason=reason, at=at
        )
    rows = [
        ("answer", said.verdict),
        ("by", said.by),
        ("reason", said.reason),
        ("digest", said.binding.digest),
        *(("evidence", evidence) for evidence in said.binding.evidence),
        ("asked by", said.binding.release or "nobody"),
    ]
    emit(
        {"evidence_id": said.binding.evidence_id, "new": new, "approval": said},
        table(version.ref, ("what", "value"), rows),
        as_json=as_json,
    )
    if not new:
        notes.print("It was on record already.", highlight=False)
