"""What runbooks have people look at on a cluster, typed as it stands there.

What changes something (approve, abort, undo, annotate, …) is what other scenarios do, or is tried by the
server without being done.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Final

from tests.e2e.scenario.release import FULL, Release
from tests.support.runbooks import NAMES, commands
from tools.cluster.errors import ClusterError

_KUBECTL: Final = "kubectl -n NAMESPACE "
_ROLLOUTS: Final = "kubectl argo rollouts -n NAMESPACE "
_LOOKS: Final = frozenset({"get", "describe", "logs", "top", "exec", "create"})
# Of a spool that has refused a record; a pod that waits for what a person types.
_NOT_HERE: Final = ("quarantine.jsonl", "leadscore approve")


def looks(wanted: Callable[[str], bool]) -> list[str]:
    """Commands that only look, each once, without what is made of their output; in the order of runbooks."""
    found: dict[str, None] = {}
    for name in NAMES:
        for command in commands(name):
            line = re.split(r" [|>] ", command)[0]
            begins = next((each for each in (_KUBECTL, _ROLLOUTS) if line.startswith(each)), "")
            verb = line.removeprefix(begins).split(" ", maxsplit=1)[0]
            if begins and verb in _LOOKS and wanted(line) and not any(part in line for part in _NOT_HERE):
                found[line] = None
    return list(found)


def failing(release: Release, lines: list[str], names: Mapping[str, str]) -> dict[str, str]:
    """Those that do not work, with what they say.

    Args:
        release: Where.
        lines: Of `looks`.
        names: What stands for the words in capitals; `NAME` is the release's.
    """
    known = {"NAME": FULL, **names}
    found: dict[str, str] = {}
    for line in lines:
        typed = line.replace("retrainpolicy NAME", "retrainpolicy POLICY")
        typed = re.sub(r"\b[A-Z]{3,}\b", lambda word: known.get(word[0], word[0]), typed)
        rollouts = typed.startswith("kubectl argo rollouts ")
        words = shlex.split(re.sub(r"^kubectl (argo rollouts )?-n NAMESPACE ", "", typed))
        if words[0] == "create":
            words.append("--dry-run=server")
        try:
            if rollouts:
                release.kube.rollouts(*words)
            else:
                release.kube.run(*words)
        except ClusterError as error:
            found[line] = error.message
    return found
