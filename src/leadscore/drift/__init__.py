"""Drift: has the population changed since training?

Reference profile, statistics, alarms. Other packages read these modules: `verdict` (what a detector says),
`options` (what a person sets), `reference` (the profile that a training leaves behind) and `runlength`.
Below, imports point down this list: `check` (all methods, one verdict) and `watch` (charts lead by lead),
`report` (the document and its pages), `univariate`, `multivariate`, `performance` and `sequential` (one
method each), `windows` (what is compared and remembered), `statistics`.
"""
