"""What can go wrong with the local cluster, said in a sentence."""

from __future__ import annotations


class ClusterError(Exception):
    """A step cannot be done on this machine; `hint` says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}\n{hint}".rstrip())
        self.message = message
        self.hint = hint
