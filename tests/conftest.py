"""Settings for every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A shared machine is not a stopwatch.
settings.register_profile("leadscore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("leadscore")

# pytest-xdist sets 80; what commands print is tested as wide as it is when piped to a file.
os.environ.pop("COLUMNS", None)
