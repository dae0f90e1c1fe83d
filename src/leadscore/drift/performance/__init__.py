"""Outcomes: does the model still rank leads and mean its probabilities, and what may be said before they are known?"""
