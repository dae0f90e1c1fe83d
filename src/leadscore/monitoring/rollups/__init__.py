"""Counts of predictions and outcomes by hour, recomputed whole whenever an hour has changed."""
