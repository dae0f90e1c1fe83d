"""Settings for every test: properties have no deadline, because a shared machine is not a stopwatch."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("leadscore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("leadscore")
