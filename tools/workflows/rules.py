"""Rules for workflows that actionlint does not know, as pure functions over one file's text.

Sources: GitHub's "Security hardening for GitHub Actions" (pinned actions, least permissions, no expressions
in scripts) and our own promise that a step runs what a person can run: `make`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import yaml

_PINNED = re.compile(r"uses:\s*(?P<action>[^\s@]+)@(?P<ref>\S+)(?P<comment>\s+#\s*v\d\S*)?\s*$")
_MAKE = re.compile(r"(?:^|[;&|]\s*|\s)make((?:\s+[A-Za-z_-][^\s;&|]*)+)")
_TARGET = re.compile(r"^([a-z0-9][a-z0-9-]*):(?!=)", re.MULTILINE)


def make_targets(makefile: str) -> frozenset[str]:
    """Targets that a Makefile defines."""
    return frozenset(_TARGET.findall(makefile))


def named_targets(script: str) -> list[str]:
    """Targets that a script's `make` lines name; variables and options left out."""
    return [
        word
        for line in script.splitlines()
        for match in _MAKE.finditer(line.split("#", 1)[0])
        for word in match[1].split()
        if "=" not in word and not word.startswith("-")
    ]


def findings(text: str, targets: AbstractSet[str]) -> list[str]:
    """What a workflow does that it should not, one sentence each; empty if it is fine.

    Args:
        text: The workflow file.
        targets: Targets of the Makefile.
    """
    document = yaml.safe_load(text)
    if not isinstance(document, dict):
        return ["is not a workflow: a mapping is expected"]
    found = list(_unpinned(text))
    if not _reads_only(document.get("permissions")):
        found.append("permissions at the top must be {} or read only: jobs ask for what they need")
    # YAML 1.1 reads the key `on` as true.
    events = document.get("on", document.get(True))
    called_only = isinstance(events, dict) and set(events) == {"workflow_call"}
    if not called_only and "concurrency" not in document:
        found.append("has no concurrency group: two runs could work on one thing")
    for name, job in document.get("jobs", {}).items():
        found += [f"job {name}: {what}" for what in _job_findings(job, targets)]
    return found


def _unpinned(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        match = _PINNED.search(line)
        if match is None:
            continue
        if not re.fullmatch(r"[0-9a-f]{40}", match["ref"]):
            yield f"line {number}: {match['action']}@{match['ref']} is not pinned by commit"
        elif match["comment"] is None:
            yield f"line {number}: {match['action']} does not say in a comment which version the commit is"


def _reads_only(permissions: object) -> bool:
    return isinstance(permissions, dict) and set(permissions.values()) <= {"read", "none"}


def _job_findings(job: dict[str, Any], targets: AbstractSet[str]) -> Iterator[str]:
    if "uses" in job:
        return
    if "timeout-minutes" not in job:
        yield "has no timeout-minutes"
    for step in job.get("steps", []):
        if step.get("uses", "").startswith("actions/checkout@") and (
            step.get("with", {}).get("persist-credentials") is not False
        ):
            yield "checkout leaves its token in the working folder (persist-credentials: false)"
        script = step.get("run", "")
        if "${{" in script:
            yield (
                "an expression inside a script can be made to run code: pass it by "
                f"env ({script.strip()[:60]})"
            )
        for target in named_targets(script):
            if target not in targets:
                yield f"make {target}: the Makefile has no such target"
