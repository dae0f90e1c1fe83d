"""Load tests: users that speak like a CRM, open-loop shapes, and a verdict computed from raw latencies."""
