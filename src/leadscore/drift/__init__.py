"""Is the market still the one the model was trained on: reference profile, statistics, alarms."""
