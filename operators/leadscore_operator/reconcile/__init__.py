"""Reconcilers: read everything afresh, call the pure decision, apply its plan. One module per kind."""
