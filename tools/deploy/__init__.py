"""Bringing a model version to an environment, judging what became of it, and telling the registry."""
