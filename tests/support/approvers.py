"""People with keys to approve with, for tests."""

from __future__ import annotations

import time
from pathlib import Path

from leadscore.events.store import EventStore
from leadscore.identity.apikeys import create_key
from leadscore.identity.approvers import Approvers
from leadscore.release.approval import Approval, Binding, Verdict, answer


class KeyHolders:
    """A key file, and the secrets of the people in it, made when they are first needed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "approvers.yaml"
        self.approvers = Approvers(self.path)
        self._secrets: dict[str, bytes] = {}

    def credential(self, name: str) -> bytes:
        if name not in self._secrets:
            self._secrets[name] = create_key(self.path, name, ["approve"])[0].encode()
        return self._secrets[name]

    def answer(
        self,
        store: EventStore,
        binding: Binding,
        verdict: Verdict = "approved",
        *,
        by: str = "Ada",
        reason: str = "replay is fine",
        at: int | None = None,
    ) -> tuple[Approval, bool]:
        credential = self.credential(by)
        moment = time.time_ns() // 1000 if at is None else at
        return answer(
            store, binding, verdict, credential=credential, approvers=self.approvers, reason=reason, at=moment
        )
