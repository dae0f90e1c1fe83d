"""One module per group of figures; each gives a `SUITE`."""
