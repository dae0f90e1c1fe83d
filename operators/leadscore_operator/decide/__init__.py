"""Decisions, one module per kind: pure functions from what was read to a plan."""
