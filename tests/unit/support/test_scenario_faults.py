"""The faults of the cluster's scenarios find what they are put around, without a cluster to show it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "e2e" / "scenario" / "faults"


@pytest.mark.parametrize(
    ("fault", "shown", "says"),
    [
        ("errors", "app.ROUTES['/score-lead'].answer.__qualname__", "_failing.<locals>.fail"),
        ("slow", "app.ROUTES['/score-lead'].answer.__qualname__", "_slow.<locals>.wait"),
        ("slow", "app.ROUTES['/readyz'].answer.__module__", "leadscore_service.routes"),
        ("stuck", "worker.Engine.__name__", "_Stuck"),
    ],
)
def test_a_fault_is_put_where_the_service_looks(fault: str, shown: str, says: str) -> None:
    imports = "from faults import inject; from leadscore_service import app, worker"
    program = f"{imports}; inject({fault!r}); print({shown})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (says, "")
