"""Backtest a RetrainPolicy: replay a labelled stream with its label delay, compared with simple rules."""
