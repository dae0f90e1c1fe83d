"""The samples that the tutorial applies.

Scenarios apply the same ones, with times short enough to be watched.
"""

from __future__ import annotations

from typing import Any

import yaml
from tests.e2e.scenario.kube import Object
from tests.e2e.scenario.release import ROOT, merged

FOLDER = ROOT / "manifests" / "examples"


def example(name: str, **spec: Any) -> list[Object]:
    """The objects of manifests/examples/NAME.yaml, with other values in their spec.

    None takes a field away.
    """
    documents = yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return [_present(merged(each, {"spec": spec})) if spec else each for each in documents]


def _present(value: Object) -> Object:
    return {
        key: _present(item) if isinstance(item, dict) else item
        for key, item in value.items()
        if item is not None
    }
