"""What is made from the chart's values.yaml.

Its JSON Schema and the README's table, with a check that both are fresh.
"""
