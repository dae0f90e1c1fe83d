"""Alerts: rules over numbers become episodes, and episodes become messages to people."""
