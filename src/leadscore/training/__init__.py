"""From labelled leads to a model with its evidence: split, tune, fit, calibrate, evaluate, judge."""
