"""Guess what a table's texts mean without a contract: numbers, times, outcomes, categories and names.

Each guess says whether it is sure. Where it is not, the proposal asks a person.
"""
