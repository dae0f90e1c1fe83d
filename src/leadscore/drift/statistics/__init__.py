"""Distances and tests of counts, their exact nulls, and the cuts that a budget of false alarms draws."""
