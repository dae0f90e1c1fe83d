"""Models that answered, opened from the verified cache or the registry, each once."""

from __future__ import annotations

import re
from threading import Lock
from time import monotonic

from leadscore.errors import LeadScoreError
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.kernel import KernelChoice
from leadscore.scoring.model import ScoringModel

# A registry that did not give a model is not asked again at once: a list of leads would wait each time.
_AGAIN_SECONDS = 60.0
# Loaded models are some megabytes each; a lead or an investigation needs a few.
_MOST = 6
_ADDRESS = re.compile(r" at \w+://\S+")


def reason_for_report(error: LeadScoreError) -> str:
    """Return what went wrong, without the address of the registry: reports are passed on."""
    return _ADDRESS.sub("", error.message)


class ModelShelf:
    """Models by name and version. Safe between threads.

    Args:
        registry: Where they are.
        backend: The NumPy kernel can split the difference of two rows; the native one explains many rows.
    """

    def __init__(self, registry: ModelRegistry, *, backend: KernelChoice = "numpy") -> None:
        self._registry = registry
        self._backend: KernelChoice = backend
        self._models: dict[str, ScoringModel] = {}
        self._failed: dict[str, tuple[float, str]] = {}
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
                found = ScoringModel.load(self._registry.fetch(ref), backend=self._backend)
            self._models[ref] = found
            while len(self._models) > _MOST:
                del self._models[next(iter(self._models))]
            return found

    def try_open(self, name: str, version: str) -> tuple[ScoringModel | None, str]:
        """Return the model, or None and why it cannot be had."""
        ref = f"{name}/{version}"
        at, why = self._failed.get(ref, (0.0, ""))
        if why and monotonic() - at < _AGAIN_SECONDS:
            return None, why
        try:
            return self.open(name, version), ""
        except LeadScoreError as error:
            why = f"The model {ref} cannot be read: {reason_for_report(error)}"
            self._failed[ref] = (monotonic(), why)
            return None, why
