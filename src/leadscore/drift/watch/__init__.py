"""Charts of a model's stream: planned from a budget of false alarms, followed lead by lead, resumed. Pure."""
