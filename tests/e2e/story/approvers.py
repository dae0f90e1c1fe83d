"""People who may approve in stories: their keys stay here, the cluster gets the public parts."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from tests.e2e.story.kube import Object
from tests.e2e.story.release import NAME
from tests.support.approvers import KeyHolders

PEOPLE = ("ada.lovelace", "grace.hopper")
SECRET = f"{NAME}-approvers"


@functools.cache
def people() -> KeyHolders:
    """The same for every story of a run."""
    holders = KeyHolders(Path(tempfile.mkdtemp(prefix="approvers-")))
    for name in PEOPLE:
        holders.credential(name)
    return holders


def approvers_secret() -> Object:
    """What `kubectl create secret generic leads-approvers --from-file=api-keys.yaml` makes."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "stringData": {"api-keys.yaml": people().path.read_text(encoding="utf-8")},
    }
