"""Outcomes: does the model still rank leads and mean its probabilities?

Also, what may be said before outcomes are known.
"""
