"""What is made from the chart's values.yaml: its JSON Schema and the README's table, with a check that both are fresh."""
