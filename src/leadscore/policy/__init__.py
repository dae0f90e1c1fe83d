"""When to retrain: the pure decision behind a RetrainPolicy, the same in the operator and in a backtest."""
