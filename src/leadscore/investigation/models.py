"""Models that answered, opened from the verified cache or the registry, each once."""

from __future__ import annotations

from threading import Lock

from leadscore.errors import LeadScoreError
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.model import ScoringModel

# Loaded models are some megabytes each; a lead or an investigation needs a few.
_MOST = 6


class ModelShelf:
    """Models by name and version. Safe between threads.

    They are opened with the NumPy kernel, which can split the difference of two rows.
    """

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self._models: dict[str, ScoringModel] = {}
        self._lock = Lock()

    def open(self, name: str, version: str) -> ScoringModel:
        """Return the model.

        Raises:
            NotFoundError: The registry has no such version.
            UnavailableError: It is not in the cache, and the registry does not answer.
            ArtefactError: Its files are not what was published.
        """
        ref = f"{name}/{version}"
        with self._lock:
            found = self._models.pop(ref, None)
            if found is None:
                found = ScoringModel.load(self._registry.fetch(ref), backend="numpy")
            self._models[ref] = found
            while len(self._models) > _MOST:
                del self._models[next(iter(self._models))]
            return found

    def try_open(self, name: str, version: str) -> tuple[ScoringModel | None, str]:
        """Return the model, or None and why it cannot be had."""
        try:
            return self.open(name, version), ""
        except LeadScoreError as error:
            return None, f"The model {name}/{version} cannot be read: {error.message}"
