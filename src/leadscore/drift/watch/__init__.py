"""The charts at work on a model's own stream.

Planned from a budget of false alarms, followed lead by lead, resumed. Pure.
"""
