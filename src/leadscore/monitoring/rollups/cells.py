"""How the predictions of a version are counted by feature: its profile, from the cache or the registry."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from leadscore.contract import contract_version
from leadscore.errors import LeadScoreError
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.rollups.counting import CellsOfVersion, Uncounted, VersionView

_log = logging.getLogger(__name__)

# A registry that did not answer is asked again, but not for every hour.
_AGAIN_SECONDS: Final = 60.0


class VersionCells:
    """What is known of versions; what is not is asked for again after a minute.

    Args:
        facts_of: Finds a version by model name and version.
        monotonic: A clock.
    """

    def __init__(
        self, facts_of: Callable[[str, str], ModelFacts], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._facts_of = facts_of
        self._monotonic = monotonic
        self._known: dict[tuple[str, str], tuple[ModelFacts, CellsOfVersion]] = {}
        self._unknown: dict[tuple[str, str], tuple[float, Uncounted]] = {}

    def __call__(self, name: str, version: str) -> VersionView:
        """What is known of a version."""
        key = (name, version)
        if key in self._known:
            return self._known[key][1]
        asked, answer = self._unknown.get(key, (float("-inf"), Uncounted("")))
        if self._monotonic() - asked < _AGAIN_SECONDS:
            return answer
        try:
            facts = self._facts_of(name, version)
        except LeadScoreError as error:
            answer = Uncounted(f"no profile: {error.message}")
            _log.warning(
                "features are not counted",
                extra={"fields": {"model": name, "version": version, "reason": answer.reason}},
            )
            self._unknown[key] = (self._monotonic(), answer)
            return answer
        self._unknown.pop(key, None)
        cells = CellsOfVersion(facts.profile, contract_version(facts.contract), facts.threshold)
        self._known[key] = (facts, cells)
        return cells

    def facts(self, name: str, version: str) -> ModelFacts | None:
        """What a version's artefact says; None if it cannot be had."""
        self(name, version)
        known = self._known.get((name, version))
        return None if known is None else known[0]

    @property
    def unknown(self) -> dict[tuple[str, str], str]:
        """Versions whose profile could not be had, and why."""
        return {key: answer.reason for key, (_, answer) in tuple(self._unknown.items())}
