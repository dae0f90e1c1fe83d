"""Take over fields of earlier operators in `metadata.managedFields`, as server-side apply keeps them."""

from __future__ import annotations

from typing import Final

from leadscore_operator.kube.resources import MANAGER, Manifest

# Operators before server-side apply were known to the server by their HTTP client's name.
_FORMER: Final = "Python"


def claim_fields(meta: Manifest) -> list[Manifest] | None:
    """Return `managedFields` that give to us what an operator before server-side apply has written.

    None if it is ours.

    Without that the former manager would own its fields for ever beside us: what we leave out later would
    stay, and a second controlling owner would be refused. See https://kubernetes.io/docs/reference/using-
    api/server-side-apply/#upgrading-from-client-side-apply-to- server-side-apply
    """
    entries: list[Manifest] = meta.get("managedFields", [])
    if any(_is(entry, MANAGER, "Apply") for entry in entries):
        return None
    former = [entry for entry in entries if _is(entry, _FORMER, "Update")]
    ours = [entry | {"manager": MANAGER, "operation": "Apply"} for entry in former]
    return [*(entry for entry in entries if entry not in former), *ours] if former else None


def _is(entry: Manifest, manager: str, operation: str) -> bool:
    return (entry.get("manager"), entry.get("operation"), entry.get("subresource", "")) == (
        manager,
        operation,
        "",
    )
