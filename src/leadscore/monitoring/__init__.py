"""Checks at work: which leads are due, what they are compared with, and where results are kept.

Results are verdicts, memories and figures.
"""
