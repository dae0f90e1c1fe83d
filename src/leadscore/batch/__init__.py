"""Nightly scores: the leads of a Delta table, scored once for each business date."""
