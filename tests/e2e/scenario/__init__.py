"""Scenarios about the chart on a real cluster: Given … When … Then, with load from outside while they happen.

`load` sends requests at a constant rate and never repeats one; `tally` counts what came back;
`kube`, `watch` and `prometheus` look at the cluster; `release` installs the chart; `models` makes
model and faulty images; `acts` holds the words that scenarios are made of; `diagnosis` says what
the cluster looked like when a scenario failed.
"""
