"""What a table's texts mean where no contract says it yet: numbers, times, outcomes, categories and names.

Each guess says whether it is sure. Where it is not, the proposal asks a person.
"""
