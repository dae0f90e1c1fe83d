"""What the runbooks tell people to type."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.support.chart import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
NAMES = sorted(path.stem for path in RUNBOOKS.glob("LeadScoring*.md"))


def fenced(text: str) -> Iterator[str]:
    """Commands and queries of the blocks, continued lines put together."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        waiting = ""
        for line in block.splitlines():
            waiting += re.sub(r"(^|\s{2,})#.*$", "", line).rstrip()
            if waiting.endswith("\\"):
                waiting = waiting[:-1]
            elif waiting.count("(") > waiting.count(")"):
                waiting += " "
            else:
                if waiting.strip():
                    yield waiting.strip()
                waiting = ""
        assert not waiting.strip(), waiting


def inline(text: str) -> Iterator[str]:
    """Commands within sentences: what begins with a program's name and goes on."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for found in re.findall(r"`((?:leadscore|kubectl) [^`]+)`", text):
        yield " ".join(found.split())


def commands(name: str) -> list[str]:
    text = (RUNBOOKS / f"{name}.md").read_text()
    return [*fenced(text), *inline(text)]
