"""A worker's state, and why: starting, ready, draining, or unable to serve."""

from __future__ import annotations

from typing import Final, Literal

from leadscore.errors import NotReadyError

# Names the descriptor of the listening socket that a worker inherits from the supervisor.
LISTENER: Final = "LEADSCORE_LISTENER"

ServicePhase = Literal["starting", "ready", "draining", "failed"]


class Lifecycle:
    """Moves forward only: starting → ready → draining, or starting → failed (→ draining)."""

    __slots__ = ("phase", "reason")

    def __init__(self) -> None:
        self.phase: ServicePhase = "starting"
        self.reason = "The model is being loaded."

    def ready(self) -> None:
        """The model is loaded, verified and warm."""
        if self.phase == "starting":
            self.phase, self.reason = "ready", ""

    def fail(self, reason: str) -> None:
        """The model cannot be served; the worker stays up to say why."""
        if self.phase == "starting":
            self.phase, self.reason = "failed", reason

    def drain(self) -> None:
        """The worker was told to stop: requests are still answered, new ones should go elsewhere."""
        self.phase, self.reason = "draining", "The service is stopping."

    def refusal(self) -> NotReadyError:
        """Return the refusal of a scoring request before or after the worker is ready."""
        return NotReadyError(
            f"Not ready: {self.reason}", hint="Repeat the request after `Retry-After` seconds."
        )
