"""Helm values that name the images made here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.images.built import Built
from tools.images.roles import Role


def helm_values(images: Sequence[tuple[Role, Built]], *, digests: bool = False) -> dict[str, Any]:
    """Values for charts/lead-scoring; pure.

    Args:
        images: Roles and what was built of them.
        digests: Name images by digest as well (it wins over the tag).
    """
    values: dict[str, Any] = {}
    for role, built in images:
        if not role.chart_value:
            continue
        place = values
        for key in role.chart_value:
            place = place.setdefault(key, {})
        place |= {"repository": built.repository, "tag": built.tag, "pullPolicy": "IfNotPresent"}
        if digests:
            place["digest"] = built.digest
    return values
