"""Scores into a CRM through its own API, and outcomes out of it: one small module for each vendor."""
