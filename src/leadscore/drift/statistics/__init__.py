"""Distances and tests of counts, their exact nulls, and critical values from a budget of false alarms."""
