"""BentoML service: the HTTP surface of the scorer."""
