"""Run drift checks: find the leads that are due, compare them, keep verdicts, memories and figures."""
