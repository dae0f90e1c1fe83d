"""Delta tables: what was scored, what became of it and what was measured, for whoever reads tables."""
