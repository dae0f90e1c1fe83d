"""Model versions in MLflow: publish, verify, load, aliases."""
