"""The charts at work on a model's own stream: planned from a budget of false alarms, followed lead by lead, resumed. Pure."""
