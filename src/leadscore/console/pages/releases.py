"""Releases: which candidate is on its way to traffic, what speaks for and against it, who has to answer."""

from __future__ import annotations

from typing import Final

from leadscore.console.blocks import PageTable, section_block, table_block
from leadscore.console.page import ConsolePage, PageContent, PageRequest, PageVerdict
from leadscore.release.progress import in_a_sentence

_KINDS: Final = ("gate", "replay", "shadow", "approval-request", "approval", "kpi", "experiment", "release")


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    records = [
        record
        for record in request.store.evidence(kind=_KINDS, limit=200)
        if record.subject.startswith(f"{request.model}/")
    ]
    rows = [(record.subject, record.kind, in_a_sentence(record), record.evidence_id) for record in records]
    table = PageTable(
        header=("version", "what", "says", "evidence"),
        rows=rows,
        units={},
        name="releases",
        empty="No candidate has been through a gate yet.",
    )
    verdict = PageVerdict(level="info", sentence=f"{len(rows)} records about candidates.")
    return PageContent(
        verdict=verdict, body=[section_block("Records", [table_block(table, caption="Records")])]
    )


PAGE: Final = ConsolePage(
    path="/releases",
    title="Releases",
    group="Model",
    question="Which version is on its way to traffic, and what does it need?",
    build=build,
    span="",
)
