"""Checks at work: which leads are due, what they are compared with, and where verdicts, memories and figures are kept."""
